-- The tables of keystill's key store, format 1. Applied by `keystill serve` to an empty schema, once.

CREATE TABLE keystill_schema (version integer NOT NULL);
INSERT INTO keystill_schema VALUES (1);

-- Which keys ever came: those of a block below next_place. Rows stay, so that a key that is not among
-- keystill_key is known to be delivered, and a block that comes twice is taken once.
CREATE TABLE keystill_block (
    link bytea NOT NULL CHECK (length(link) = 6),
    block bigint NOT NULL CHECK (block >= 0),
    next_place bigint NOT NULL CHECK (next_place >= 0),
    PRIMARY KEY (link, block)
);

-- Keys that can be delivered. To deliver is to delete.
CREATE TABLE keystill_key (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    odd boolean NOT NULL,
    sealed bytea NOT NULL
);
CREATE INDEX keystill_key_share ON keystill_key (odd, seq);
