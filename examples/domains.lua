-- What the columns of the example databases are called in English, for examples/questions.lua.
-- Kinds of columns: label (names a row), text (few different values), number, year, date. `without` says in words that
-- the value is NULL.

local function column(name, kind, one, many, without)
  return { name = name, kind = kind, one = one, many = many or one .. "s", without = without }
end
local function label(name, one) return column(name, "label", one or "name") end
local function text(name, one, many, without) return column(name, "text", one, many, without) end
local function number(name, one, many, without) return column(name, "number", one, many, without) end
local function year(name, one, many) return column(name, "year", one, many) end
local function date(name, one, many, without) return column(name, "date", one, many, without) end

---A table: its name in SQL, its noun, its columns (the first one names a row).
local function relation(name, one, many, columns)
  return { name = name, one = one, many = many, columns = columns, label = columns[1] }
end

-- `joins`: {child, column, parent}; the parent's key is always id. The second join may start at the first one's parent.
return {
  {
    name = "shop",
    tables = {
      relation("customer", "customer", "customers", {
        label "name", text("city", "city", "cities"), date("joined", "joining date"),
        number("credit", "credit limit", nil, "no credit limit"),
      }),
      relation("product", "product", "products", {
        label "name", text("category", "category", "categories"), number("price", "price"), number("stock", "stock"),
      }),
      relation("purchase", "purchase", "purchases", {
        label("id", "id"), number("quantity", "quantity", "quantities"), date("bought", "purchase date"),
        text("voucher", "voucher", nil, "no voucher"),
      }),
    },
    joins = { { "purchase", "customer_id", "customer" }, { "purchase", "product_id", "product" } },
  },
  {
    name = "library",
    tables = {
      relation("author", "author", "authors", {
        label "name", text("country", "country", "countries"), year("born", "year of birth", "years of birth"),
      }),
      relation("book", "book", "books", {
        label("title", "title"), text("genre", "genre"), number("pages", "number of pages", "numbers of pages"),
        year("published", "year of publication", "years of publication"),
      }),
      relation("loan", "loan", "loans", {
        label("id", "id"), text("reader", "reader"), date("lent", "lending date"),
        date("returned", "return date", nil, "no return date"),
      }),
    },
    joins = { { "loan", "book_id", "book" }, { "book", "author_id", "author" } },
  },
  {
    name = "clinic",
    tables = {
      relation("doctor", "doctor", "doctors", {
        label "name", text("specialty", "specialty", "specialties"), date("hire date", "hire date"),
        number("hourly rate", "hourly rate"),
      }),
      relation("patient", "patient", "patients", {
        label "name", date("birthday", "birthday"), text("blood group", "blood group"), number("weight", "weight"),
      }),
      relation("visit", "visit", "visits", {
        label("id", "id"), date("visit date", "visit date"), number("fee", "fee"),
        text("diagnosis", "diagnosis", "diagnoses", "no diagnosis"),
      }),
    },
    joins = { { "visit", "doctor_id", "doctor" }, { "visit", "patient_id", "patient" } },
  },
  {
    name = "railway",
    tables = {
      relation("station", "station", "stations", {
        label "name", text("region", "region"), number("platforms", "number of platforms", "numbers of platforms"),
        year("opened", "opening year"),
      }),
      relation("train", "train", "trains", {
        label "name", text("maker", "maker"), number("seats", "number of seats", "numbers of seats"),
        number("top speed", "top speed"),
      }),
      relation("trip", "trip", "trips", {
        label("id", "id"), date("departure day", "departure day"), number("delay", "delay", nil, "no delay"),
        number("passengers", "number of passengers", "numbers of passengers"),
      }),
    },
    joins = { { "trip", "train_id", "train" }, { "trip", "station_id", "station" } },
  },
  {
    name = "festival",
    tables = {
      relation("artist", "artist", "artists", {
        label "name", text("home country", "home country", "home countries"), text("genre", "genre"),
        number("members", "number of members", "numbers of members"),
      }),
      relation("stage", "stage", "stages", {
        label "name", text("floor", "floor"), number("capacity", "capacity", "capacities"),
      }),
      relation("concert", "concert", "concerts", {
        label("id", "id"), date("concert day", "concert day"), number("ticket price", "ticket price"),
        number("tickets sold", "number of sold tickets", "numbers of sold tickets", "no number of sold tickets"),
      }),
    },
    joins = { { "concert", "artist_id", "artist" }, { "concert", "stage_id", "stage" } },
  },
  {
    name = "bakery",
    tables = {
      relation("Filiale", "branch", "branches", {
        label "name", text("stadt", "city", "cities"), number("plätze", "number of seats", "numbers of seats"),
        date("eröffnet", "opening date"),
      }),
      relation("Gebäck", "pastry", "pastries", {
        label "name", text("sorte", "kind"), number("preis", "price"), number("gewicht", "weight"),
      }),
      relation("Bestellung", "order", "orders", {
        label("id", "id"), number("menge", "amount"), date("lieferung", "delivery date"),
        text("fahrer", "driver", nil, "no driver"),
      }),
    },
    joins = { { "Bestellung", "filiale id", "Filiale" }, { "Bestellung", "gebäck id", "Gebäck" } },
  },
}
