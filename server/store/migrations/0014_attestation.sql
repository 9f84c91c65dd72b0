-- What the hardware proved that holds a certificate's key; empty where nothing was proved.

ALTER TABLE certificate ADD COLUMN attested_format TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN attested_serial TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN attested_udid TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN attested_os TEXT NOT NULL DEFAULT '';
