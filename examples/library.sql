-- A lending library; a loan with no day of return is still out.
CREATE TABLE author (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  country TEXT NOT NULL,
  born INTEGER NOT NULL      /* year */
);
INSERT INTO author VALUES
  (1, 'Clara Moon', 'Ireland', 1938), (2, 'Jean Renard', 'France', 1943), (3, 'Søren Bakke', 'Norway', 1970),
  (4, 'Akira Mori', 'Japan', 1989), (5, 'Lucía Vega', 'Chile', 1957), (6, 'Peter Stone', 'Ireland', 1967),
  (7, 'Amélie Roux', 'France', 1952), (8, 'Ingrid Holm', 'Norway', 1965), (9, 'Hana Ito', 'Japan', 1990),
  (10, 'Diego Luna', 'Chile', 1967), (11, 'Rosa Fuentes', 'Chile', 1953), (12, 'Paul Grey', 'Ireland', 1985),
  (13, 'Kenji Abe', 'Japan', 1970), (14, 'Nora Lie', 'Norway', 1983), (15, 'Marc Dubois', 'France', 1948),
  (16, 'Eve Quinn', 'Ireland', 1939);

CREATE TABLE book (
  id INTEGER PRIMARY KEY,
  author_id INTEGER NOT NULL REFERENCES author (id),
  title TEXT NOT NULL,
  genre TEXT NOT NULL,
  pages INTEGER NOT NULL,
  published INTEGER NOT NULL /* year */
);
INSERT INTO book VALUES
  (1, 9, 'The Salt Road', 'novel', 360, 1994), (2, 1, 'Winter Light', 'crime', 190, 2009),
  (3, 12, 'A Map of Rain', 'travel', 310, 2002), (4, 2, 'Seven Doors', 'poetry', 500, 2009),
  (5, 12, 'The Glass Orchard', 'history', 420, 2015), (6, 8, 'Letters Home', 'travel', 270, 2006),
  (7, 3, 'Iron and Ash', 'history', 560, 1986), (8, 10, 'The Quiet Sea', 'travel', 90, 2005),
  (9, 2, 'Paper Birds', 'crime', 310, 1993), (10, 6, 'North of Nowhere', 'crime', 250, 1996),
  (11, 13, 'The Last Ferry', 'travel', 350, 2001), (12, 2, 'Red Lanterns', 'novel', 150, 1976),
  (13, 2, 'Stone Soup', 'travel', 500, 1976), (14, 3, 'The Long Table', 'travel', 100, 1984),
  (15, 6, 'Silver Thread', 'poetry', 90, 2011), (16, 11, 'Under the Fig Tree', 'novel', 440, 1995),
  (17, 9, 'Night Train', 'history', 330, 2019), (18, 13, 'The Clockmaker', 'travel', 460, 1981),
  (19, 1, 'Green Hills', 'poetry', 120, 1999), (20, 12, 'A Handful of Salt', 'crime', 450, 1976),
  (21, 1, 'The Lighthouse', 'novel', 370, 1981), (22, 2, 'Broken Compass', 'crime', 180, 2017),
  (23, 5, 'Río Abajo', 'travel', 510, 1980), (24, 14, 'The Ninth Letter', 'novel', 420, 1975),
  (25, 2, 'Fjord', 'crime', 380, 1999), (26, 2, 'Autumn Moon', 'crime', 380, 2005),
  (27, 6, 'The Baker''s Son', 'poetry', 460, 1977), (28, 3, 'Distant Bells', 'history', 370, 1994);

CREATE TABLE loan (
  id INTEGER PRIMARY KEY,
  book_id INTEGER NOT NULL REFERENCES book (id),
  reader TEXT NOT NULL,
  lent DATE NOT NULL,
  returned DATE              /* NULL: still out */
);
INSERT INTO loan VALUES
  (1, 11, 'Ada', '2022-10-31', '2022-11-19'), (2, 3, 'Leo', '2022-07-22', '2022-08-22'),
  (3, 16, 'Lea', '2024-03-17', '2024-03-31'), (4, 12, 'Nils', '2024-06-22', '2024-07-14'),
  (5, 5, 'Ada', '2024-08-15', '2024-09-13'), (6, 12, 'Leo', '2023-05-01', '2023-06-09'),
  (7, 18, 'Ada', '2024-10-23', '2024-11-10'), (8, 2, 'Finn', '2023-04-30', '2023-06-04'),
  (9, 9, 'Eva', '2022-02-17', '2022-03-06'), (10, 18, 'Leo', '2023-06-23', '2023-07-23'),
  (11, 7, 'Lea', '2022-05-12', NULL), (12, 8, 'Leo', '2024-07-22', '2024-08-03'),
  (13, 9, 'Nils', '2023-07-31', '2023-08-13'), (14, 15, 'Nils', '2024-04-12', '2024-05-07'),
  (15, 15, 'Lea', '2022-11-14', '2022-12-01'), (16, 21, 'Leo', '2022-08-21', '2022-09-13'),
  (17, 22, 'Eva', '2023-09-06', NULL), (18, 3, 'Nils', '2022-02-20', '2022-03-03'),
  (19, 10, 'Nils', '2022-10-19', '2022-11-24'), (20, 1, 'Ada', '2023-07-23', '2023-07-27'),
  (21, 16, 'Leo', '2022-07-16', '2022-08-04'), (22, 12, 'Leo', '2022-01-14', '2022-02-03'),
  (23, 15, 'Leo', '2024-04-11', '2024-04-15'), (24, 7, 'Mia', '2023-04-23', NULL),
  (25, 14, 'Nils', '2024-02-17', NULL), (26, 11, 'Finn', '2023-07-30', '2023-08-08'),
  (27, 25, 'Leo', '2024-10-18', '2024-10-30'), (28, 17, 'Lea', '2024-02-08', '2024-03-02'),
  (29, 25, 'Leo', '2022-08-16', '2022-09-11'), (30, 20, 'Leo', '2024-08-20', NULL),
  (31, 21, 'Finn', '2024-10-24', NULL), (32, 11, 'Leo', '2024-01-26', NULL),
  (33, 9, 'Max', '2022-05-04', '2022-05-24'), (34, 6, 'Leo', '2023-12-02', '2023-12-31'),
  (35, 7, 'Leo', '2023-01-17', '2023-02-09'), (36, 10, 'Nils', '2023-05-24', '2023-06-04'),
  (37, 10, 'Nils', '2023-09-04', NULL), (38, 12, 'Finn', '2022-06-13', '2022-07-02'),
  (39, 18, 'Lea', '2022-06-19', '2022-06-22'), (40, 22, 'Lea', '2023-04-23', '2023-05-11'),
  (41, 25, 'Eva', '2024-04-29', '2024-06-07'), (42, 22, 'Mia', '2022-05-06', '2022-06-08'),
  (43, 16, 'Nils', '2022-03-30', '2022-04-13'), (44, 15, 'Finn', '2022-09-05', '2022-10-13'),
  (45, 6, 'Nils', '2022-09-07', '2022-09-20'), (46, 5, 'Finn', '2022-09-22', '2022-10-22'),
  (47, 2, 'Max', '2023-09-23', '2023-10-28'), (48, 6, 'Finn', '2023-03-09', NULL),
  (49, 12, 'Finn', '2023-09-28', '2023-10-15'), (50, 23, 'Eva', '2023-07-03', NULL),
  (51, 5, 'Eva', '2024-10-13', NULL), (52, 13, 'Eva', '2022-06-27', NULL),
  (53, 9, 'Nils', '2024-09-05', NULL), (54, 15, 'Eva', '2024-04-30', '2024-06-06'),
  (55, 5, 'Nils', '2022-03-04', '2022-04-08');
