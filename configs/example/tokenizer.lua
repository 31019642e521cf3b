-- The quickstart's tokenizer: byte-level BPE trained on the training texts, with Qwen2's special tokens and a ChatML
-- template of two turns. 1,500 tokens: names and keywords become one token each, values two to four.
return {
  vocab_size = 1500,
  special = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" },
  chat_template = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    .. " + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
}
