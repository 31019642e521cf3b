-- The generic Chinese prompt of XiYan-SQL's released code: SQL without a dialect; the layout of nl2sql_zh.lua.
-- item: question, evidence, schema (M-Schema text). A copy of this file is a prompt of your own.
return function(item)
  return ([[
你是一名SQL专家，现在需要阅读并理解下面的【数据库schema】描述，可能用到的【参考信息】，并运用SQL知识生成sql语句回答【用户问题】。
【用户问题】
{question}

【数据库schema】
{schema}

【参考信息】
{evidence}

【用户问题】
{question}

```sql]]):gsub("{(%a+)}", item)
end
