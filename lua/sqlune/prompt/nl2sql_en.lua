-- The English prompt: the layout of nl2sql_zh.lua.
-- item: question, evidence, schema (M-Schema text), dialect ("SQLite"). A copy of this file is a prompt of your own.
return function(item)
  return ([[
You are a {dialect} expert. Read and understand the 【Database Schema】 below and the 【Evidence】 that may be useful,
and use your knowledge of {dialect} to write the SQL statement that answers the 【Question】.
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
