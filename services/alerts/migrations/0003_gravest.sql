alter table alerts.warnings add column gravest int;
comment on column alerts.warnings.gravest is
    'The greatest gravity of which anybody was told: late data may lower a warning''s peak, and who was told of it is told how it ends. Null of warnings of 0.2: their peak.';
