-- Stage 2 of the quickstart (recipes/sft.lua): fine-tuning; only the answers count.
return {
  extends = "pretrain.lua",
  mask = "answers",
  epochs = 1.2,
  lr = 6e-4,
}
