-- The generic English prompt, SQL without a dialect: the layout of nl2sql_en.lua. The words are sqlune's own.
-- item: question, evidence, schema (M-Schema text). A copy of this file is a prompt of your own.
return function(item)
  return ([[
You are an SQL expert. Read and understand the 【Database Schema】 below and the 【Evidence】 that may be useful,
and use your knowledge of SQL to write the SQL statement that answers the 【Question】.
【Question】
{question}

【Database Schema】
{schema}

【Evidence】
{evidence}

【Question】
{question}

```sql]]):gsub("{(%a+)}", item)
end
