-- Data sets for `sqlune assemble configs/datasets/example.lua out=run/train.json seed=7`, with all that may stand here.
-- `process` writes such a list as JSON (run/data/datasets.json), in the original's form, which is read just as well.
return {
  {
    name = "train_nl2sqlite",                      -- in the table that assemble prints, and part of every random stream
    data_path = "run/data/train_nl2sqlite.json",   -- items, as process writes them; from here or from this folder
    task_name = "nl2sqlite",
    data_aug = true,                               -- false: schema and SQL as they are
    sample_num = -1,                               -- so many items, drawn with the seed; -1: all
    prompt = "zh",                                 -- or "en", or a Lua file
    weight = 1.0,                                  -- 2.5: each item twice, half of them a third time, augmented anew
    split = "train",                               -- "test": only where assemble is asked for split=test
    -- dialect = "mysql",                          -- of the SQL, for tasks that do not say it: generic, self_refine …
  },
}
