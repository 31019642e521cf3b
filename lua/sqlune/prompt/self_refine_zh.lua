-- The Chinese prompt for correcting a statement. The layout is that of XiYan-SQL's released code (which has it for
-- SQLite alone), the first sentence sqlune's own. item: question, evidence, schema, dialect ("SQLite"), error_sql,
-- error_info.
return function(item)
  return ([[
你是一名{dialect}专家，之前为回答【用户问题】生成的【SQL】执行后出错或结果不正确，现在请根据【数据库schema】、【参考信息】和【执行结果】进行更正，并输出正确的sql语句。

【数据库schema】
{schema}

【参考信息】
{evidence}

【用户问题】
{question}

【SQL】
{error_sql}

【执行结果】
{error_info}

【更正SQL】
```sql]]):gsub("{([%a_]+)}", item)
end
