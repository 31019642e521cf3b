-- The Chinese prompt for inferring questions from a statement (the paper's auxiliary task; its prompt is not
-- published: these words are sqlune's own). item: sql, evidence, schema, dialect ("SQLite"). The answer: the
-- questions, one a line.
return function(item)
  return ([[
你是一名{dialect}专家，现在需要阅读并理解下面的【数据库schema】描述，以及可能用到的【参考信息】，推断【SQL】所回答的用户问题，每行输出一个问题。

【数据库schema】
{schema}

【参考信息】
{evidence}

【SQL】
{sql}

【用户问题】
]]):gsub("{(%a+)}", item)
end
