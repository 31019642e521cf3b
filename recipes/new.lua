-- recipes/new.lua: a new model folder: a tokenizer learned from conversations and a Qwen2 model with random weights.
local sq = require "sqlune"
local config, fs, json = sq.config, sq.fs, sq.json

local cfg = config.parse(arg, {
  data = config.path "conversations, as assemble writes them, to learn the tokenizer from",
  out  = config.path "folder for the model",
  seed = config.integer("of the weights", 1),
  vocab_size              = config.integer("tokens, the 256 bytes and 3 special ones included", 1500, { min = 300 }),
  hidden_size             = config.integer("width of the residual stream", 128, { min = 1 }),
  intermediate_size       = config.integer("width of the feed-forward part", 288, { min = 1 }),
  num_hidden_layers       = config.integer("layers", 3, { min = 1 }),
  num_attention_heads     = config.integer("heads of the queries", 4, { min = 1 }),
  num_key_value_heads     = config.integer("heads of the keys and values", 2, { min = 1 }),
  max_position_embeddings = config.integer("longest sequence", 1024, { min = 1 }),
  rope_theta              = config.number("base of the rotation's frequencies", 10000.0),
  initializer_range       = config.number("standard deviation of the weights", 0.02),
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

-- The tokenizer learns from what the model will read and write.
local texts = {}
do
  local list <close> = check(json.items(cfg.data))
  for item, number in list do
    if not item.conversations then config.fail(("%s: item %d: 'conversations' is missing"):format(cfg.data, number)) end
    for _, message in ipairs(item.conversations) do texts[#texts + 1] = message.content end
  end
end
check(fs.mkdir(cfg.out))
local tokenizer = check(sq.tokenizer.train {
  texts = texts, vocab_size = cfg.vocab_size, path = fs.join(cfg.out, "tokenizer.json"),
  special = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" },
})
local end_of_text, end_of_turn = tokenizer:id "<|endoftext|>", tokenizer:id "<|im_end|>"

-- Weights last: a folder with weights is whole.
check(json.write(fs.join(cfg.out, "tokenizer_config.json"), {
  tokenizer_class = "Qwen2Tokenizer", chat_template = sq.chat.chatml, eos_token = "<|im_end|>",
  pad_token = "<|endoftext|>", model_max_length = cfg.max_position_embeddings,
}, { indent = 2 }))
check(json.write(fs.join(cfg.out, "generation_config.json"), {
  eos_token_id = end_of_turn, pad_token_id = end_of_text,
}))
local model = check(sq.models.from_config({
  architectures = { "Qwen2ForCausalLM" }, model_type = "qwen2", hidden_act = "silu", tie_word_embeddings = true,
  rms_norm_eps = 1e-6, attention_dropout = 0.0, use_sliding_window = false, bos_token_id = end_of_text,
  eos_token_id = end_of_turn, vocab_size = tokenizer:vocab_size(), hidden_size = cfg.hidden_size,
  intermediate_size = cfg.intermediate_size, num_hidden_layers = cfg.num_hidden_layers,
  num_attention_heads = cfg.num_attention_heads, num_key_value_heads = cfg.num_key_value_heads,
  max_position_embeddings = cfg.max_position_embeddings, rope_theta = cfg.rope_theta,
  initializer_range = cfg.initializer_range,
}, { seed = cfg.seed }))
check(model:save(cfg.out))
print(("  %s parameters, %d tokens: %s"):format(sq.term.count(model:size()), tokenizer:vocab_size(), cfg.out))
