-- The English prompt for Cypher: the layout of cypher_zh.lua. The words are sqlune's own.
-- item: question, evidence, schema (of the graph). A copy of this file is a prompt of your own.
return function(item)
  return ([[
You are a Neo4j expert. Read and understand the 【Graph Schema】 below and the 【Evidence】 that may be useful,
and use your knowledge of Neo4j to write the Cypher statement that answers the 【Question】.
【Question】
{question}

【Graph Schema】
{schema}

【Evidence】
{evidence}

【Question】
{question}

```cypher]]):gsub("{(%a+)}", item)
end
