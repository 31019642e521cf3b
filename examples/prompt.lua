-- A prompt of the example's own (assemble … prompt=examples/prompt.lua): the layout of the library's prompts with a
-- shorter instruction, because the quickstart's model reads every token at the cost of the user's patience.
return function(item)
  return ([[
Write {dialect} for the question.
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
