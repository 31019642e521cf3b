-- The Chinese prompt for choosing among candidates. The layout and the last line are those of XiYan-SQL's released
-- code, the first sentence is sqlune's own. item: question, evidence, schema, dialect, candidates ({sql=, result=}
-- each), answer (the right one's place, if known). The second value returned is the answer's text.
return function(item)
  local blocks, names = {}, {}
  for i, one in ipairs(item.candidates) do
    names[i] = "候选" .. i
    blocks[i] = ("候选%d\n【SQL】\n%s\n【执行结果】\n%s"):format(i, one.sql, one.result)
  end
  local text = ([[
你是一名{dialect}专家，下面针对【用户问题】给出了{num}条候选SQL及其在数据库上的执行结果（展示前10行），请对比这些候选，结合【数据库schema】和【参考信息】，从中选择正确合理的一条。

【数据库schema】
{schema}

【参考信息】
{evidence}

【用户问题】
{question}

==========

{blocks}

请输出所选择的候选是{items}]]):gsub("{(%a+)}", {
    dialect = item.dialect, num = #blocks, schema = item.schema, evidence = item.evidence, question = item.question,
    blocks = table.concat(blocks, "\n"), items = table.concat(names, ", "),
  })
  return text, names[item.answer]
end
