---@meta

---Worker processes that run gold and predicted SQL and judge what comes. Recipes use `sq.evaluate`, which stands on it.
---@class sqlune.evaluator
local evaluator = {}

---@class sqlune.evaluator.Item
---@field db string|table     a SQLite file or a connection table
---@field pred_db? string|table  where the prediction runs, if not on `db`
---@field gold string
---@field pred string
---@field ordered? boolean    gold says ORDER BY where it counts: for ex_ordered
---@field keyed? string  gold with the rank of each row as its last column

---@class sqlune.evaluator.Opts
---@field items sqlune.evaluator.Item[]
---@field workers? integer    processes; default one a processor, at most 64
---@field timeout? number     seconds a statement, default 30
---@field max_rows? integer   of one result; more are an error
---@field max_bytes? integer  of one result; more are an error
---@field samples? integer    rows kept of both results where the verdict is not correct, default 0
---@field rounds? integer     how often both statements are timed where ex_bird holds, default 0
---@field tolerance? number   relative, of numbers, default 0
---@field cache? string       folder of gold results
---@field digests? table<string|table, string>  of the contents of each `db` whose gold may be cached

---Starts the workers on a list of items and returns at once. Use `local pool <close> = …`: closing cancels what runs.
---@param opts sqlune.evaluator.Opts
---@return sqlune.evaluator.Pool? pool
---@return string? message
---@return string? code
function evaluator.start(opts) end

---@class sqlune.evaluate.CompareOpts
---@field tolerance? number        relative, of numbers that shall be equal nevertheless; default 0: none
---@field ordered? boolean         gold orders its rows: ex_ordered compares lists
---@field spider_ordered? boolean  the same for ex_spider: gold's text holds "order by"

---@class sqlune.evaluate.Metrics
---@field ex boolean
---@field ex_bird boolean
---@field ex_ordered boolean
---@field ex_xiyan boolean
---@field ex_spider boolean
---@field soft_f1 number  0 … 1 and, where cells repeat in a row, a little more

---Compares two results given as lists of rows. A cell is a number, string, boolean, json.null, {blob = bytes}, or a
---server's text: {decimal=}, {date=}, {time=}, {datetime=}, {interval=}, {array=}, {json=}.
---@param gold any[][]
---@param pred any[][]
---@param opts? sqlune.evaluate.CompareOpts
---@return sqlune.evaluate.Metrics
function evaluator.compare(gold, pred, opts) end

---@class sqlune.evaluator.Pool
local pool = {}

---Waits until all items are done, at most `seconds` (default 0.1). Raises on ^C and when memory is out; gives nil, a
---message and a code when a server cannot be reached any more.
---@param seconds? number
---@return integer? done
---@return integer|string total
---@return string? code
function pool:step(seconds) end

---Which item was the nth to be done.
---@param n integer  at most what the last step called done
---@return integer item
function pool:finished(n) end

---How many workers ended otherwise than they should.
---@return integer
function pool:deaths() end

---What came of item i; nil while it is not done.
---@param i integer
---@return sqlune.evaluate.Outcome?
function pool:outcome(i) end

---Cancels what runs, ends the workers. Again is harmless.
function pool:close() end

return evaluator
