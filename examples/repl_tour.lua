-- What one can type at the prompt of `sqlune`, as a script that types it: sqlune examples/repl_tour.lua
-- Each line is shown, run, and its values printed, as the prompt does.
package.path = arg[0]:gsub("[^/]*$", "") .. "../?.lua;" .. package.path
local sq = require "sqlune"

local folder = assert(sq.fs.tmpdir())
local _ <close> = setmetatable({}, { __close = function() sq.fs.remove_tree(folder) end })
local prompt = setmetatable({ sq = sq, tokenizer_path = folder .. "/tokenizer.json" }, { __index = _G })
prompt.path = require("examples.questions").create_databases(folder).shop

---Runs a line as the prompt does: an expression shows its values, a statement nothing.
local function enter(line)
  print("> " .. line)
  local chunk = load("return " .. line, "=prompt", "t", prompt) or assert(load(line, "=prompt", "t", prompt))
  local values = table.pack(chunk())
  for i = 1, values.n do values[i] = tostring(values[i]) end
  if values.n > 0 then print(table.concat(values, "   ")) end
  return values
end

local lines = {
  "-- A database, read-only: a query prints as a table, what is not allowed comes back as nil and why.",
  "db = sq.db.open(path)",
  "db:query 'SELECT name, city, credit FROM customer WHERE credit IS NULL ORDER BY name LIMIT 3'",
  "db:query 'DROP TABLE customer'",
  "db:query('SELECT category, AVG(price) FROM product GROUP BY category').rows[1][1]",

  "-- Its schema as a model reads it.",
  "schema = sq.schema.read(path)",
  "schema:text { selected_tables = { 'product' }, example_num = 2 }",

  "-- A tokenizer learned from a few texts: ids, and back.",
  "texts = { 'SELECT name FROM customer', 'SELECT name FROM product', 'SELECT city FROM customer' }",
  "tokenizer = sq.tokenizer.train { texts = texts, vocab_size = 280, path = tokenizer_path }",
  "ids = tokenizer:encode 'SELECT city FROM product'",
  "#ids, tokenizer:decode(ids)",

  "-- The names that a statement uses, as augmentations see them.",
  "names = sq.sql.identifiers [[SELECT name FROM customer WHERE city = 'price']]",
  "names.city, names.price",

  "-- Numbers with gradients.",
  "x = sq.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { requires_grad = true })",
  "y = (x * x):sum()",
  "y:item()",
  "y:backward()",
  "x.grad",
  "db:close()",
}

for i, line in ipairs(lines) do
  if line:find "^%-%-" then
    print((i > 1 and "\n" or "") .. line)
  else
    enter(line)
  end
end
