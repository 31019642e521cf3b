-- The English prompt for choosing the evidence that a question needs: the layout of evidence_inference_zh.lua,
-- sqlune's own words. item: question, schema, dialect, evidences (a list). The answer: the right one's text.
return function(item)
  local lines = {}
  for i, text in ipairs(item.evidences) do lines[i] = ("%d. %s"):format(i, text) end
  return ([[
You are a {dialect} expert. Read and understand the 【Database Schema】 below, choose from the 【Candidate evidence】 the
one that answering the 【Question】 needs most, and write it as it stands.

【Database Schema】
{schema}

【Question】
{question}

【Candidate evidence】
{lines}

【Evidence】
]]):gsub("{(%a+)}", { dialect = item.dialect, schema = item.schema, question = item.question,
    lines = table.concat(lines, "\n") })
end
