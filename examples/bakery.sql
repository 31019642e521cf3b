-- A chain of bakeries in Germany: its shops, what they bake, what they order. Names are German, some with umlauts.
CREATE TABLE "Filiale" (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  stadt TEXT NOT NULL,           -- city
  "plätze" INTEGER NOT NULL,     -- seats
  "eröffnet" DATE NOT NULL       -- day of opening
);
INSERT INTO Filiale VALUES
  (1, 'Am Markt', 'Bremen', 41, '2004-05-01'), (2, 'Bahnhof', 'München', 9, '2020-11-06'),
  (3, 'Domplatz', 'Dresden', 36, '2003-04-12'), (4, 'Elbufer', 'München', 36, '2022-04-29'),
  (5, 'Grüner Weg', 'Dresden', 59, '2014-07-19'), (6, 'Hafen', 'Lübeck', 50, '2011-03-31'),
  (7, 'Königsallee', 'Dresden', 12, '2006-03-29'), (8, 'Lindenhof', 'München', 38, '2006-02-24'),
  (9, 'Mühle', 'München', 49, '2019-11-11'), (10, 'Nordtor', 'Lübeck', 27, '2020-02-03'),
  (11, 'Ostpark', 'Bremen', 43, '2010-11-13'), (12, 'Rathaus', 'Lübeck', 20, '2019-06-19'),
  (13, 'Schloss', 'München', 55, '2002-05-10'), (14, 'Südring', 'Bremen', 21, '2003-10-04'),
  (15, 'Waldeck', 'München', 12, '2021-04-24');

CREATE TABLE "Gebäck" (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  sorte TEXT NOT NULL,           -- kind
  preis REAL NOT NULL,           -- euros
  gewicht INTEGER NOT NULL       -- grams
);
INSERT INTO "Gebäck" VALUES
  (1, 'Brezel', 'snack', 3.0, 170), (2, 'Krapfen', 'sweet', 7.5, 370), (3, 'Stollen', 'cake', 4.0, 650),
  (4, 'Zimtstern', 'sweet', 4.5, 960), (5, 'Nussecke', 'sweet', 4.5, 700), (6, 'Mohnzopf', 'cake', 3.5, 310),
  (7, 'Käsestange', 'snack', 4.0, 730), (8, 'Apfelkuchen', 'cake', 6.5, 150),
  (9, 'Bienenstich', 'cake', 4.0, 500), (10, 'Roggenbrot', 'bread', 5.0, 500),
  (11, 'Dinkelbrot', 'bread', 7.0, 170), (12, 'Laugenstange', 'snack', 8.0, 420),
  (13, 'Rosinenbrötchen', 'sweet', 2.5, 120), (14, 'Streuselkuchen', 'cake', 5.5, 640),
  (15, 'Kürbisbrot', 'bread', 1.5, 150), (16, 'Vollkornbrot', 'bread', 6.5, 430);

CREATE TABLE "Bestellung" (
  id INTEGER PRIMARY KEY,
  "filiale id" INTEGER NOT NULL REFERENCES "Filiale" (id),
  "gebäck id" INTEGER NOT NULL REFERENCES "Gebäck" (id),
  menge INTEGER NOT NULL,        -- pieces
  lieferung DATE NOT NULL,       -- day of delivery
  fahrer TEXT                    -- driver; NULL: collected by the shop
);
INSERT INTO Bestellung VALUES
  (1, 4, 9, 33, '2024-05-18', 'Schäfer'), (2, 9, 14, 21, '2024-12-07', 'Meier'),
  (3, 6, 3, 19, '2024-04-19', 'Meier'), (4, 5, 7, 15, '2024-12-14', 'Meier'),
  (5, 2, 14, 25, '2024-12-06', NULL), (6, 4, 1, 21, '2024-05-12', 'Groß'),
  (7, 11, 10, 9, '2024-04-06', 'Schäfer'), (8, 5, 13, 30, '2024-01-17', 'Yılmaz'),
  (9, 2, 8, 49, '2024-05-28', 'Groß'), (10, 13, 2, 40, '2024-12-07', 'Meier'),
  (11, 9, 2, 6, '2024-03-01', 'Groß'), (12, 1, 5, 46, '2024-04-08', 'Meier'),
  (13, 3, 2, 15, '2024-03-05', 'Yılmaz'), (14, 9, 5, 21, '2024-09-18', 'Schäfer'),
  (15, 5, 4, 15, '2024-04-13', 'Groß'), (16, 9, 1, 45, '2024-01-11', 'Groß'),
  (17, 3, 8, 31, '2024-06-24', NULL), (18, 1, 3, 35, '2024-01-08', 'Schäfer'),
  (19, 5, 5, 50, '2024-10-11', NULL), (20, 1, 2, 29, '2024-02-02', 'Groß'),
  (21, 9, 4, 8, '2024-11-16', 'Schäfer'), (22, 2, 10, 40, '2024-08-01', 'Meier'),
  (23, 11, 8, 18, '2024-09-05', 'Schäfer'), (24, 7, 10, 52, '2024-08-07', NULL),
  (25, 8, 6, 53, '2024-03-20', 'Schäfer'), (26, 13, 4, 51, '2024-01-03', NULL),
  (27, 1, 10, 10, '2024-06-09', 'Meier'), (28, 12, 10, 17, '2024-01-29', 'Schäfer'),
  (29, 1, 7, 28, '2024-04-07', NULL), (30, 11, 9, 40, '2024-12-22', 'Meier'),
  (31, 9, 3, 49, '2024-08-10', NULL), (32, 3, 11, 31, '2024-10-09', 'Groß'),
  (33, 12, 11, 8, '2024-10-04', 'Groß'), (34, 4, 6, 2, '2024-04-24', NULL),
  (35, 4, 5, 29, '2024-09-09', 'Groß'), (36, 11, 3, 23, '2024-01-18', 'Meier'),
  (37, 5, 3, 56, '2024-03-29', 'Groß'), (38, 9, 13, 9, '2024-12-26', NULL),
  (39, 2, 3, 19, '2024-08-17', 'Meier'), (40, 13, 1, 52, '2024-07-05', 'Groß'),
  (41, 9, 2, 58, '2024-06-15', NULL), (42, 10, 3, 38, '2024-09-29', 'Meier'),
  (43, 13, 9, 42, '2024-09-16', NULL), (44, 13, 8, 3, '2024-02-03', 'Yılmaz'),
  (45, 4, 3, 36, '2024-06-26', 'Groß'), (46, 7, 12, 6, '2024-04-13', NULL),
  (47, 13, 10, 9, '2024-12-02', NULL), (48, 11, 8, 23, '2024-05-24', 'Schäfer'),
  (49, 4, 14, 35, '2024-08-01', 'Yılmaz'), (50, 13, 3, 7, '2024-02-22', NULL),
  (51, 5, 11, 34, '2024-11-17', 'Groß'), (52, 1, 13, 17, '2024-05-13', 'Schäfer'),
  (53, 8, 6, 6, '2024-02-18', 'Meier'), (54, 1, 9, 18, '2024-02-23', 'Groß'),
  (55, 11, 8, 44, '2024-08-06', NULL), (56, 3, 10, 43, '2024-04-04', 'Yılmaz'),
  (57, 4, 5, 33, '2024-06-21', 'Meier'), (58, 6, 11, 50, '2024-06-07', 'Yılmaz'),
  (59, 4, 1, 54, '2024-06-11', 'Groß'), (60, 9, 11, 26, '2024-07-07', 'Groß');
