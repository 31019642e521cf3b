-- The English prompt for correcting a statement: the layout of self_refine_zh.lua. The words are sqlune's own.
-- item: question, evidence, schema, dialect ("SQLite"), error_sql, error_info.
return function(item)
  return ([[
You are a {dialect} expert. The 【SQL】 written before to answer the 【Question】 failed or gave a wrong result. Correct it
with the help of the 【Database Schema】, the 【Evidence】 and the 【Execution result】, and write the right statement.

【Database Schema】
{schema}

【Evidence】
{evidence}

【Question】
{question}

【SQL】
{error_sql}

【Execution result】
{error_info}

【Corrected SQL】
```sql]]):gsub("{([%a_]+)}", item)
end
