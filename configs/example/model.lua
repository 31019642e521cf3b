-- The quickstart's model for recipes/new.lua: Qwen2's architecture, small enough to train in minutes (0.67 M
-- parameters). With 1,500 tokens, names and keywords are one token each, values two to four.
return {
  vocab_size = 1500,
  hidden_size = 128,
  intermediate_size = 288,
  num_hidden_layers = 3,
  num_attention_heads = 4,
  num_key_value_heads = 2,
  max_position_embeddings = 1024,
  rope_theta = 10000.0,
}
