-- The English prompt for inferring questions from a statement: the layout of question_inference_zh.lua, sqlune's
-- own words. item: sql, evidence, schema, dialect ("SQLite"). The answer: the questions, one a line.
return function(item)
  return ([[
You are a {dialect} expert. Read and understand the 【Database Schema】 below and the 【Evidence】 that may be useful, and
write the questions that the 【SQL】 answers, one a line.

【Database Schema】
{schema}

【Evidence】
{evidence}

【SQL】
{sql}

【Question】
]]):gsub("{(%a+)}", item)
end
