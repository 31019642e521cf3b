-- Concerts of artists on the stages of a festival.
CREATE TABLE artist (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  "home country" TEXT NOT NULL,
  genre TEXT NOT NULL,
  members INTEGER NOT NULL
);
INSERT INTO artist VALUES
  (1, 'Los Cometas', 'Sweden', 'folk', 7), (2, 'Blå Timme', 'Canada', 'folk', 10),
  (3, 'The Gravel', 'Sweden', 'jazz', 5), (4, 'Nightjar', 'Spain', 'jazz', 3),
  (5, 'Mère Lune', 'Brazil', 'techno', 1), (6, 'Kopfkino', 'Sweden', 'rock', 7),
  (7, 'Tin Whistle', 'Spain', 'techno', 9), (8, 'Sora', 'Spain', 'folk', 2),
  (9, 'Dusty Keys', 'Spain', 'jazz', 3), (10, 'Ola e Mar', 'Sweden', 'rock', 4),
  (11, 'Velvet Fox', 'Spain', 'jazz', 10), (12, 'Northern Echo', 'Sweden', 'folk', 4),
  (13, 'Pájaro Azul', 'Canada', 'jazz', 6), (14, 'Hollow Oak', 'Canada', 'techno', 2),
  (15, 'Marble Run', 'Spain', 'techno', 2), (16, 'Café Noir', 'Sweden', 'jazz', 8),
  (17, 'Static Bloom', 'Brazil', 'rock', 6), (18, 'Wolf & Moth', 'Canada', 'jazz', 6);

CREATE TABLE stage (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  floor TEXT NOT NULL,
  capacity INTEGER NOT NULL
);
INSERT INTO stage VALUES
  (1, 'Main Stage', 'grass', 500), (2, 'River Stage', 'stone', 1500), (3, 'Forest Tent', 'wood', 1100),
  (4, 'Blue Tent', 'stone', 600), (5, 'Old Barn', 'grass', 1400), (6, 'Sky Deck', 'stone', 150),
  (7, 'Harbour', 'wood', 1600), (8, 'Courtyard', 'grass', 1350), (9, 'Chapel', 'stone', 200),
  (10, 'Dome', 'wood', 1450), (11, 'Mill', 'stone', 650), (12, 'Garden Stage', 'wood', 1350),
  (13, 'Cellar', 'stone', 900), (14, 'Tower', 'wood', 1800), (15, 'Quarry', 'stone', 850);

CREATE TABLE concert (
  id INTEGER PRIMARY KEY,
  artist_id INTEGER NOT NULL REFERENCES artist (id),
  stage_id INTEGER NOT NULL REFERENCES stage (id),
  "concert day" DATE NOT NULL,
  "ticket price" INTEGER NOT NULL,
  "tickets sold" INTEGER          -- NULL: not counted yet
);
INSERT INTO concert VALUES
  (1, 2, 2, '2024-09-13', 30, NULL), (2, 6, 8, '2023-09-21', 70, 660), (3, 2, 7, '2023-09-04', 50, 360),
  (4, 9, 6, '2024-06-24', 65, 590), (5, 6, 6, '2024-05-18', 85, 520), (6, 5, 4, '2023-12-15', 140, NULL),
  (7, 7, 8, '2023-10-12', 145, NULL), (8, 8, 10, '2024-01-27', 110, NULL), (9, 11, 2, '2024-03-13', 65, 140),
  (10, 6, 5, '2024-05-04', 40, 170), (11, 5, 1, '2024-03-07', 30, 120), (12, 12, 9, '2023-05-12', 90, 340),
  (13, 10, 6, '2024-01-25', 115, 700), (14, 3, 2, '2023-09-13', 145, 40), (15, 11, 5, '2024-07-06', 95, 790),
  (16, 2, 7, '2023-09-27', 75, 290), (17, 12, 1, '2023-06-13', 110, 610), (18, 9, 3, '2023-12-03', 80, 690),
  (19, 3, 5, '2024-01-31', 80, 340), (20, 11, 8, '2024-04-05', 95, 180), (21, 11, 4, '2023-10-17', 65, 220),
  (22, 2, 3, '2023-07-07', 140, 720), (23, 2, 6, '2024-09-14', 130, 880), (24, 1, 2, '2024-03-16', 25, NULL),
  (25, 7, 12, '2023-12-19', 115, NULL), (26, 8, 7, '2023-09-03', 115, 350),
  (27, 16, 8, '2024-07-08', 135, 60), (28, 3, 8, '2024-03-02', 115, 640), (29, 4, 3, '2024-04-23', 80, 830),
  (30, 14, 6, '2024-02-13', 145, 760), (31, 14, 11, '2023-09-03', 65, NULL),
  (32, 16, 12, '2023-05-06', 60, 500), (33, 12, 3, '2024-07-31', 110, 170),
  (34, 13, 7, '2023-07-10', 110, 810), (35, 2, 2, '2024-06-10', 60, 540), (36, 14, 5, '2024-04-03', 95, 500),
  (37, 14, 7, '2024-01-10', 25, 190), (38, 9, 9, '2024-05-10', 130, NULL), (39, 4, 3, '2024-07-26', 90, 350),
  (40, 12, 13, '2024-06-05', 100, 410), (41, 9, 10, '2024-03-22', 110, 70),
  (42, 8, 5, '2024-06-27', 20, NULL), (43, 12, 4, '2024-03-18', 15, NULL), (44, 4, 5, '2024-08-03', 25, 300),
  (45, 5, 1, '2024-01-01', 85, 680), (46, 5, 8, '2024-02-08', 80, 280), (47, 9, 1, '2024-05-14', 50, 250),
  (48, 4, 1, '2024-09-19', 140, 690), (49, 5, 10, '2023-10-03', 145, 360), (50, 6, 8, '2023-05-18', 35, 810),
  (51, 13, 6, '2024-06-05', 25, 610), (52, 12, 13, '2024-04-20', 145, 650),
  (53, 12, 7, '2024-05-13', 25, NULL), (54, 12, 5, '2024-03-13', 95, 270), (55, 8, 7, '2024-05-26', 20, 480),
  (56, 9, 12, '2023-12-06', 20, 20), (57, 10, 4, '2024-04-05', 75, 870), (58, 11, 8, '2024-02-11', 40, NULL);
