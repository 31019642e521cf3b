-- The standard augmentations and renaming: in half of the samples tables, in half columns get other names, in the
-- schema, the SQL and the evidence together.
--
--   sqlune assemble datasets.json out=run/train.json augment=examples/rename_augment.lua db=databases/
--
-- With `db` every renamed statement runs on a renamed copy; what does not give the same rows is left out and counted.
return { replace = true, "shuffle", "filter", "rename_tables", "rename_columns", "permute", "translate" }
