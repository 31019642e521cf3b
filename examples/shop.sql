-- A small shop: who bought what, and when.
CREATE TABLE customer (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  city TEXT NOT NULL,
  joined DATE NOT NULL,   -- the day of the first order
  credit INTEGER          -- what we lend at most; NULL: nothing agreed
);
INSERT INTO customer VALUES
  (1, 'Anna Berg', 'Porto', '2022-07-13', 400), (2, 'Nguyễn Lan', 'Lyon', '2023-01-15', 150),
  (3, 'Zoë Martin', 'Köln', '2022-05-27', NULL), (4, 'Liam O''Brien', 'Köln', '2022-10-25', 450),
  (5, '李娜', 'Lyon', '2022-10-21', 200), (6, 'Mateo Díaz', 'Oslo', '2022-06-07', 50),
  (7, 'Priya Rao', 'Hanoi', '2019-01-19', 300), (8, 'Olga Petrova', 'Oslo', '2019-07-08', 350),
  (9, 'Tom Baker', 'Oslo', '2021-04-13', NULL), (10, 'Aisha Khan', 'Lyon', '2021-10-10', NULL),
  (11, 'Jonas Weiß', 'Köln', '2021-01-13', 600), (12, 'Chloé Petit', 'Hanoi', '2021-06-02', 750),
  (13, 'Kofi Mensah', 'Lyon', '2021-06-23', 150), (14, 'Maria Silva', 'Porto', '2019-04-19', 850),
  (15, 'Yuki Sato', 'Köln', '2019-12-02', NULL), (16, 'Ivan Novak', 'Porto', '2019-11-23', NULL),
  (17, 'Sara Lund', 'Oslo', '2021-05-01', 800), (18, 'Omar Haddad', 'Köln', '2020-02-14', 750),
  (19, 'Emma Clark', 'Hanoi', '2023-01-19', 250), (20, 'Noah Fischer', 'Köln', '2022-04-05', 650),
  (21, 'Ines Costa', 'Köln', '2023-02-20', 650), (22, 'Ravi Patel', 'Köln', '2019-02-04', 700),
  (23, 'Lucy Hill', 'Hanoi', '2019-09-06', NULL), (24, 'Björn Dahl', 'Porto', '2021-10-30', NULL);

CREATE TABLE product (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  category TEXT NOT NULL,
  price REAL NOT NULL,    -- for one piece
  stock INTEGER NOT NULL
);
INSERT INTO product VALUES
  (1, 'Tea pot', 'kitchen', 20.0, 67), (2, 'Bread knife', 'kitchen', 9, 15),
  (3, 'Frying pan', 'kitchen', 9.0, 65), (4, 'Whisk', 'kitchen', 30, 14),
  (5, 'Desk lamp', 'office', 25.0, 39), (6, 'Stapler', 'office', 40, 77), (7, 'Notebook', 'office', 2.0, 54),
  (8, 'Ink pen', 'office', 35.0, 4), (9, 'Rake', 'garden', 6.5, 25), (10, 'Spade', 'garden', 35.5, 28),
  (11, 'Hose', 'garden', 20, 15), (12, 'Flower pot', 'garden', 4, 20), (13, 'Kite', 'toys', 18.0, 18),
  (14, 'Puzzle', 'toys', 25.5, 31), (15, 'Teddy bear', 'toys', 6.0, 64), (16, 'Yo-yo', 'toys', 35, 9),
  (17, 'Soap', 'bath', 18.5, 56), (18, 'Towel', 'bath', 3.5, 29), (19, 'Mirror', 'bath', 15, 8),
  (20, 'Sponge', 'bath', 20, 47);

CREATE TABLE purchase (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customer (id),
  product_id INTEGER NOT NULL REFERENCES product (id),
  quantity INTEGER NOT NULL,
  bought DATE NOT NULL,
  voucher TEXT            -- NULL: paid in full
);
INSERT INTO purchase VALUES
  (1, 16, 17, 5, '2024-07-21', NULL), (2, 22, 8, 4, '2023-02-28', NULL), (3, 6, 10, 9, '2024-03-25', NULL),
  (4, 20, 17, 8, '2022-03-30', NULL), (5, 1, 10, 5, '2022-04-07', 'SPRING'), (6, 3, 3, 3, '2022-10-26', NULL),
  (7, 10, 11, 2, '2023-09-26', NULL), (8, 12, 9, 7, '2024-12-02', 'WINTER'),
  (9, 5, 12, 2, '2023-09-03', 'SUMMER'), (10, 2, 4, 6, '2024-07-09', 'SUMMER'),
  (11, 14, 1, 2, '2023-09-04', NULL), (12, 2, 3, 3, '2022-06-01', 'WINTER'),
  (13, 1, 14, 9, '2024-04-05', NULL), (14, 6, 5, 7, '2022-09-03', 'SPRING'),
  (15, 4, 12, 6, '2024-09-30', NULL), (16, 9, 15, 3, '2022-02-11', 'WINTER'),
  (17, 1, 3, 4, '2024-08-11', NULL), (18, 21, 18, 2, '2024-09-29', NULL),
  (19, 15, 7, 3, '2023-01-31', 'SUMMER'), (20, 4, 11, 7, '2024-09-03', 'SPRING'),
  (21, 4, 13, 7, '2022-04-04', NULL), (22, 22, 14, 1, '2024-05-13', NULL),
  (23, 12, 15, 2, '2022-02-19', NULL), (24, 2, 5, 1, '2022-07-17', NULL),
  (25, 7, 8, 9, '2023-05-10', 'SPRING'), (26, 19, 10, 1, '2023-05-24', NULL),
  (27, 17, 12, 6, '2023-05-16', NULL), (28, 19, 7, 9, '2024-01-02', NULL), (29, 20, 6, 7, '2023-06-17', NULL),
  (30, 3, 4, 4, '2022-08-22', NULL), (31, 15, 16, 4, '2022-12-03', NULL), (32, 22, 2, 1, '2023-07-25', NULL),
  (33, 19, 3, 5, '2022-06-25', NULL), (34, 5, 13, 2, '2024-03-29', NULL),
  (35, 4, 8, 1, '2024-01-06', 'SUMMER'), (36, 15, 4, 5, '2023-03-06', 'SUMMER'),
  (37, 9, 18, 6, '2022-10-12', 'SUMMER'), (38, 3, 15, 7, '2023-12-31', NULL),
  (39, 3, 16, 4, '2022-09-25', 'WINTER'), (40, 8, 11, 1, '2024-11-06', NULL),
  (41, 19, 12, 4, '2024-09-10', 'WINTER'), (42, 3, 16, 4, '2022-01-15', NULL),
  (43, 22, 8, 2, '2024-05-16', 'WINTER'), (44, 22, 12, 9, '2023-10-22', NULL),
  (45, 16, 18, 1, '2022-05-16', NULL), (46, 7, 17, 1, '2022-12-17', NULL), (47, 5, 8, 9, '2022-07-15', NULL),
  (48, 6, 16, 9, '2022-05-21', 'SPRING'), (49, 21, 3, 3, '2023-02-17', NULL),
  (50, 13, 5, 1, '2022-04-27', 'SUMMER'), (51, 6, 17, 9, '2023-04-13', NULL),
  (52, 13, 11, 8, '2023-11-16', NULL), (53, 7, 15, 3, '2022-07-13', NULL),
  (54, 20, 12, 6, '2024-09-25', NULL), (55, 8, 5, 4, '2024-10-03', NULL), (56, 19, 14, 4, '2022-11-09', NULL),
  (57, 20, 16, 4, '2023-04-10', 'SPRING'), (58, 14, 12, 1, '2023-11-25', 'SUMMER'),
  (59, 2, 3, 8, '2024-09-08', NULL), (60, 2, 16, 3, '2022-10-25', NULL);
