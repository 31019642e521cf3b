-- A clinic: the visits of patients to doctors. Names with blanks must be quoted.
CREATE TABLE doctor (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  specialty TEXT NOT NULL,
  "hire date" DATE NOT NULL,
  "hourly rate" INTEGER NOT NULL
);
INSERT INTO doctor VALUES
  (1, 'Dr Adams', 'skin care', '2011-11-29', 75), (2, 'Dr Becker', 'surgery', '2023-01-31', 165),
  (3, 'Dr Chen', 'dentistry', '2012-03-21', 115), (4, 'Dr Duarte', 'surgery', '2008-03-09', 185),
  (5, 'Dr Eklund', 'dentistry', '2010-11-02', 140), (6, 'Dr Farah', 'surgery', '2014-07-21', 80),
  (7, 'Dr Gómez', 'cardiology', '2014-09-18', 65), (8, 'Dr Hassan', 'dentistry', '2010-02-02', 155),
  (9, 'Dr Ivanova', 'dentistry', '2010-08-05', 110), (10, 'Dr Jung', 'surgery', '2012-07-21', 105),
  (11, 'Dr Kowalski', 'dentistry', '2005-08-19', 150), (12, 'Dr Lévy', 'cardiology', '2008-09-30', 155),
  (13, 'Dr Marino', 'dentistry', '2011-11-01', 115), (14, 'Dr Nakamura', 'dentistry', '2008-05-05', 185),
  (15, 'Dr Osei', 'cardiology', '2007-01-01', 105);

CREATE TABLE patient (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  birthday DATE NOT NULL,
  "blood group" TEXT NOT NULL CHECK ("blood group" IN ('A', 'B', 'AB', '0')),
  weight INTEGER NOT NULL      -- kilograms
);
INSERT INTO patient VALUES
  (1, 'Alma', '2009-08-12', 'AB', 100), (2, 'Bruno', '1972-10-15', 'A', 109),
  (3, 'Carla', '1958-03-04', 'AB', 92), (4, 'Denis', '1981-10-25', 'A', 47),
  (5, 'Élise', '2005-01-31', '0', 83), (6, 'Felix', '1975-08-23', 'B', 49),
  (7, 'Greta', '1941-04-24', 'B', 68), (8, 'Hugo', '1983-03-09', '0', 88),
  (9, 'Irma', '1963-08-25', 'AB', 88), (10, 'Jakob', '1975-06-10', 'AB', 105),
  (11, 'Karin', '1954-11-25', 'B', 81), (12, 'Lars', '1960-02-16', 'AB', 86),
  (13, 'Mona', '1960-01-13', 'A', 86), (14, 'Niklas', '1989-06-03', '0', 88),
  (15, 'Olivia', '1951-01-06', 'AB', 68), (16, 'Pablo', '2006-03-30', '0', 103),
  (17, 'Quentin', '2013-04-17', 'AB', 85), (18, 'Ruth', '1945-10-26', '0', 44),
  (19, 'Simon', '1941-02-22', 'AB', 81), (20, 'Tilda', '1999-05-13', 'B', 85),
  (21, 'Ulrich', '1983-12-06', 'B', 94), (22, 'Vera', '1958-07-08', 'B', 48),
  (23, 'Willem', '1992-10-26', 'AB', 102), (24, 'Yara', '1993-10-13', 'AB', 88),
  (25, 'Zeno', '1987-12-03', 'AB', 105);

CREATE TABLE visit (
  id INTEGER PRIMARY KEY,
  doctor_id INTEGER NOT NULL,
  patient_id INTEGER NOT NULL,
  "visit date" DATE NOT NULL,
  fee INTEGER NOT NULL,
  diagnosis TEXT,              -- NULL: nothing found
  FOREIGN KEY (doctor_id) REFERENCES doctor (id),
  FOREIGN KEY (patient_id) REFERENCES patient (id)
);
INSERT INTO visit VALUES
  (1, 13, 8, '2024-10-15', 215, 'flu'), (2, 10, 7, '2023-07-25', 260, 'asthma'),
  (3, 2, 2, '2023-08-21', 225, 'sprain'), (4, 7, 22, '2024-01-01', 190, 'asthma'),
  (5, 1, 4, '2023-07-11', 195, 'asthma'), (6, 1, 1, '2023-07-12', 105, 'sprain'),
  (7, 13, 7, '2024-10-02', 250, 'fracture'), (8, 11, 5, '2023-03-25', 245, NULL),
  (9, 13, 13, '2023-12-09', 240, 'allergy'), (10, 3, 2, '2023-01-02', 275, 'allergy'),
  (11, 3, 7, '2024-10-27', 245, 'allergy'), (12, 8, 18, '2023-07-28', 255, 'sprain'),
  (13, 4, 13, '2023-01-05', 220, 'asthma'), (14, 13, 6, '2024-10-12', 200, 'flu'),
  (15, 13, 6, '2023-06-12', 90, 'flu'), (16, 4, 16, '2023-07-26', 125, 'sprain'),
  (17, 3, 20, '2024-02-13', 55, 'allergy'), (18, 4, 23, '2023-08-13', 250, 'sprain'),
  (19, 9, 15, '2024-08-12', 120, 'fracture'), (20, 9, 15, '2024-04-30', 135, 'fracture'),
  (21, 7, 1, '2024-10-08', 245, 'asthma'), (22, 8, 14, '2023-03-24', 230, NULL),
  (23, 11, 20, '2024-09-10', 155, 'asthma'), (24, 1, 10, '2024-05-05', 110, NULL),
  (25, 11, 23, '2023-12-24', 290, 'flu'), (26, 11, 3, '2023-07-13', 100, 'sprain'),
  (27, 8, 20, '2024-04-07', 235, 'fracture'), (28, 3, 8, '2023-10-06', 190, NULL),
  (29, 1, 22, '2023-06-15', 275, 'allergy'), (30, 3, 19, '2023-11-26', 170, 'fracture'),
  (31, 5, 17, '2024-11-18', 280, 'sprain'), (32, 10, 15, '2024-04-22', 170, 'fracture'),
  (33, 8, 20, '2023-04-20', 195, 'fracture'), (34, 4, 3, '2024-06-27', 290, 'fracture'),
  (35, 11, 20, '2023-05-19', 200, NULL), (36, 6, 2, '2024-12-08', 160, 'allergy'),
  (37, 13, 1, '2024-03-03', 280, 'asthma'), (38, 2, 7, '2023-05-03', 185, 'allergy'),
  (39, 1, 20, '2024-01-07', 175, NULL), (40, 13, 18, '2024-02-03', 175, 'fracture'),
  (41, 7, 18, '2024-01-23', 225, NULL), (42, 9, 14, '2023-03-18', 175, 'flu'),
  (43, 13, 11, '2023-09-24', 80, 'asthma'), (44, 5, 22, '2023-07-14', 210, 'asthma'),
  (45, 8, 23, '2023-06-18', 270, 'fracture'), (46, 9, 20, '2023-04-02', 155, NULL),
  (47, 8, 23, '2023-03-01', 260, NULL), (48, 9, 14, '2023-10-02', 250, NULL),
  (49, 3, 10, '2023-04-28', 125, NULL), (50, 5, 18, '2024-12-19', 255, 'fracture'),
  (51, 11, 20, '2024-08-30', 270, 'allergy'), (52, 11, 10, '2024-10-08', 255, 'fracture'),
  (53, 2, 13, '2024-02-13', 95, 'allergy'), (54, 13, 17, '2023-06-30', 75, 'fracture'),
  (55, 1, 1, '2024-12-06', 135, 'fracture'), (56, 3, 22, '2023-11-16', 120, 'flu'),
  (57, 3, 8, '2024-11-13', 255, NULL), (58, 6, 17, '2024-04-05', 280, 'allergy'),
  (59, 3, 9, '2024-08-18', 200, 'asthma'), (60, 4, 19, '2024-02-07', 70, NULL);
