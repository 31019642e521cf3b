-- The English prompt for nGQL: the layout of ngql_zh.lua. The words are sqlune's own.
-- item: question, evidence, schema (of the graph). A copy of this file is a prompt of your own.
return function(item)
  return ([[
You are a NebulaGraph expert. Read and understand the 【Graph Schema】 below and the 【Evidence】 that may be useful,
and use your knowledge of nGQL to write the nGQL statement that answers the 【Question】.
【Question】
{question}

【Graph Schema】
{schema}

【Evidence】
{evidence}

【Question】
{question}

```ngql]]):gsub("{(%a+)}", item)
end
