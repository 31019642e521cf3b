-- An augmentation that is wrong, to show what is said then:
--
--   sqlune assemble datasets.json out=run/train.json augment=examples/wrong_augment.lua
--
--   sqlune assemble: examples/wrong_augment.lua:11: train_nl2sqlite.json: item 1 (line 2): it dropped customer.name,
--   which the SQL needs: SELECT name FROM customer
--   A right one looks like this: …
--
-- The mistake: `column.used` says which columns the SQL names; they must stay (examples/my_augment.lua).
return function(sample, rng)
  sample.schema:drop_columns(function(column) return not column.key and rng:uniform() < 0.9 end)
  return sample
end
