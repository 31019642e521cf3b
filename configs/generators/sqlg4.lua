-- SQLG4 of XiYan-SQL (arXiv 2507.04701), Qwen2.5-Coder-32B-Instruct: all multi-task and all formatted data. The paper
-- states the data, not the settings: these are configs/qwen2.5-coder-32b/sft.lua's.
return {
  extends = "../qwen2.5-coder-32b/sft.lua",
  data = "configs/generators/data/sqlg4.lua",
}
