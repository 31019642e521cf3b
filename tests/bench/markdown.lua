-- Prints a table as docs/performance.md holds it: columns and rows are lists of texts.
return function(columns, rows)
  print("| " .. table.concat(columns, " | ") .. " |")
  print(("|---"):rep(#columns) .. "|")
  for _, cells in ipairs(rows) do print("| " .. table.concat(cells, " | ") .. " |") end
end
