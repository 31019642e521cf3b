-- The Chinese prompt for choosing the evidence that a question needs (the paper's auxiliary task; its prompt is not
-- published: these words are sqlune's own). item: question, schema, dialect, evidences (a list). The answer: its text.
return function(item)
  local lines = {}
  for i, text in ipairs(item.evidences) do lines[i] = ("%d. %s"):format(i, text) end
  return ([[
你是一名{dialect}专家，现在需要阅读并理解下面的【数据库schema】描述，从【候选参考信息】中选出回答【用户问题】最相关的一条，并原样输出。

【数据库schema】
{schema}

【用户问题】
{question}

【候选参考信息】
{lines}

【参考信息】
]]):gsub("{(%a+)}", { dialect = item.dialect, schema = item.schema, question = item.question,
    lines = table.concat(lines, "\n") })
end
