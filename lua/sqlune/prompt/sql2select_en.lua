-- The English prompt for choosing among candidates: the layout of sql2select_zh.lua. The words are sqlune's own.
-- item: question, evidence, schema, dialect, candidates ({sql=, result=} each), answer (the right one's place, if
-- known). The second value returned is the answer's text.
return function(item)
  local blocks, names = {}, {}
  for i, one in ipairs(item.candidates) do
    names[i] = "Candidate " .. i
    blocks[i] = ("Candidate %d\n【SQL】\n%s\n【Execution result】\n%s"):format(i, one.sql, one.result)
  end
  local text = ([[
You are a {dialect} expert. Below stand {num} candidate statements for the 【Question】 with their execution results (the
first 10 rows). Compare them, with the 【Database Schema】 and the 【Evidence】, and choose the one that is right.

【Database Schema】
{schema}

【Evidence】
{evidence}

【Question】
{question}

==========

{blocks}

Write which candidate you choose: {items}]]):gsub("{(%a+)}", {
    dialect = item.dialect, num = #blocks, schema = item.schema, evidence = item.evidence, question = item.question,
    blocks = table.concat(blocks, "\n"), items = table.concat(names, ", "),
  })
  return text, names[item.answer]
end
