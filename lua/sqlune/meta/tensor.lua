---@meta

---Making tensors, gradients on and off, scopes, random state. All of it stands in `sq` itself: `sq.zeros {2, 3}`.
---@class sqlune.tensor
local tensor = {}

---@alias sqlune.dtype "f32"|"bf16"|"f16"|"f64"|"i64"|"i32"|"u8"

---@class sqlune.TensorOpts
---@field dtype? sqlune.dtype     "f32" if absent
---@field device? string          "cpu", or a card: "cuda:0"
---@field requires_grad? boolean  backward puts a gradient into `grad`

---@class sqlune.RandomOpts: sqlune.TensorOpts
---@field seed? integer    that of manual_seed if absent
---@field stream? integer  0 if absent: streams of one seed are independent
---@field offset? integer  place in the stream, in blocks of 4 numbers

---A typed, strided view of bytes. `+ - * /` and unary `-` take tensors and numbers; printing shows dtype, shape and
---elements.
---@class sqlune.Tensor: sqlune.TensorOperators
---@field shape integer[]
---@field dtype sqlune.dtype
---@field device string
---@field ndim integer
---@field version integer         rises with every write into its memory: what was computed from it may be out of date
---@field requires_grad boolean   may be set on tensors that no operator made
---@field grad sqlune.Tensor?     may be set to nil, or to a tensor as backward would make it
---@field grad_dtype string       of the gradient; "bf16" may be set for a bf16 leaf, whose gradient is f32 without it
local Tensor = {}

---Size of a dimension, from 1, or back from -1.
---@param dim integer
---@return integer
function Tensor:size(dim) end

---Number of elements.
---@return integer
function Tensor:numel() end

---The only element, as a number.
---@return number
function Tensor:item() end

---Elements as nested tables; a number for a tensor without dimensions.
---@return table|number
function Tensor:totable() end

---Adds the gradient of this tensor into `grad` of every tensor that wanted one. Activations are released on the way: a
---second backward through the same operators is an error.
---@param gradient? sqlune.Tensor  of this one's shape; needed unless it has one element
function Tensor:backward(gradient) end

---The same elements, off the tape.
---@return sqlune.Tensor
function Tensor:detach() end

---A copy with elements in order, off the tape.
---@return sqlune.Tensor
function Tensor:clone() end

---Releases the memory now, not when the collector comes by.
function Tensor:close() end

---Takes the tensor out of every scope, and returns it.
---@return sqlune.Tensor
function Tensor:keep() end

---Forgets the gradient; on the cpu its memory stays for the next one.
function Tensor:zero_grad() end

---Has backward call `hook(t)` when the gradient of this leaf is complete: once in each backward, whatever uses it,
---also inside a checkpoint. The hook runs off the tape; it may change the gradient, take it away (`t.grad = nil`) or
---write to the leaf. nil takes the hook away; one that refers to the leaf itself, not to its argument, keeps it alive.
---@param hook? fun(t: sqlune.Tensor)
function Tensor:on_grad(hook) end

---Begins to bring the values to the host, behind what was asked of the device so far, and goes on without waiting. On
---the cpu they are there at once. Later changes of the tensor do not reach them.
---@return sqlune.Fetch
function Tensor:fetch() end

---Values on their way to the host.
---@class sqlune.Fetch
local Fetch = {}

---Are they there?
---@return boolean
function Fetch:ready() end

---The values, waited for where they are still on their way.
---@return sqlune.Tensor # on the cpu
function Fetch:wait() end

---Lets go of them, there or not.
function Fetch:close() end

---Do the elements lie in order, without gaps?
---@return boolean
function Tensor:is_contiguous() end

---A tensor of these numbers.
---@param values table|number  nested tables of equal lengths
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.tensor(values, opts) end

---Zeros of a shape.
---@param shape integer[]
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.zeros(shape, opts) end

---Ones of a shape.
---@param shape integer[]
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.ones(shape, opts) end

---One value in every place.
---@param shape integer[]
---@param value number
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.full(shape, value, opts) end

---Memory with nothing in particular in it.
---@param shape integer[]
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.empty(shape, opts) end

---The integers first, first + 1, … last; i64 unless told otherwise.
---@param first integer
---@param last integer
---@param opts? sqlune.TensorOpts
---@return sqlune.Tensor
function tensor.arange(first, last, opts) end

---Normal random numbers, the same on any number of threads.
---@param shape integer[]
---@param opts? sqlune.RandomOpts
---@return sqlune.Tensor
function tensor.randn(shape, opts) end

---Random numbers in [0, 1), the same on any number of threads.
---@param shape integer[]
---@param opts? sqlune.RandomOpts
---@return sqlune.Tensor
function tensor.rand(shape, opts) end

---Calls fn(…) with recording off and returns what it returns. fn may not yield.
---@generic T
---@param fn fun(...): T
---@return T
function tensor.no_grad(fn, ...) end

---Do operators record?
---@return boolean
function tensor.grad_enabled() end

---Seed of randn and rand.
---@param seed integer
function tensor.manual_seed(seed) end

---State of the random numbers, and sets it if a state is given.
---@param state? { seed: integer, offset: integer }
---@return { seed: integer, offset: integer }
function tensor.random_state(state) end

---Bytes that tensors of a device hold now and held at most, and bytes kept for reuse.
---@param reset? boolean  the peak starts anew
---@param device? string  "cpu"
---@return { live_bytes: integer, peak_bytes: integer, cached_bytes: integer, live_blocks: integer }
function tensor.tensor_memory(reset, device) end

---The devices of this program, the cpu first, then every card that its driver knows. free_bytes: of the cards that this
---thread has used.
---@return { name: string, description?: string, total_bytes?: integer, free_bytes?: integer, capability?: string }[]
function tensor.devices() end

---Lets cards multiply f32 in TF32, with 10 bits of mantissa, from now on, in all threads. Off at first
---(torch.backends.cuda.matmul.allow_tf32); the cpu takes no notice.
---@param allowed boolean
function tensor.allow_tf32(allowed) end

---@class sqlune.DeviceCounts
---@field launches integer       kernels and products
---@field plain_products integer among them products that the library refused: a slow kernel did them
---@field uploads integer        copies to a card
---@field zeros integer          memory set to zero
---@field fetches integer        copies begun by fetch()
---@field waits integer          how often the host waited

---What this thread asked of cards so far.
---@return sqlune.DeviceCounts
function tensor.device_counts() end

---Waits until all that was asked of a device is done. Reading a number of a tensor waits by itself.
---@param device string
function tensor.synchronize(device) end

---@class sqlune.CustomOpts
---@field forward fun(ctx: table, ...): ...   gives 1 to 3 tensors; off the tape; what backward needs goes into ctx
---@field backward fun(ctx: table, ...): ...  takes the gradients of the results, gives those of the arguments, in order
---@field name? string                        for messages

---An operator written in Lua. Tensors that ctx keeps must outlive backward: keep() them if a scope ends before it.
---@param o sqlune.CustomOpts
---@return fun(...): ...
function tensor.custom(o) end

---Calls fn(…) with recording on, inside a no_grad or a custom operator's backward.
---@param fn fun(...): ...
---@param ... any
---@return ...
function tensor.with_grad(fn, ...) end

---@class sqlune.Scope
local Scope = {}

---Moves those of the tensors that were made inside into the scope around this one; returns all of them.
---@param ... sqlune.Tensor
---@return sqlune.Tensor ...
function Scope:keep(...) end

---Releases every tensor made since the scope was opened, but for those kept; scopes opened inside close too.
function Scope:close() end

---Opens a scope: `local s <close> = sq.scope()`.
---@return sqlune.Scope
function tensor.scope() end

return tensor
