//! Every option: what values it may have, and where it goes.

use super::{DISK_READ_ONLY, DISK_WARNING, QUORUM, Rule, SYSTEM_USERS, Spec, Target, words};

/// The options in the order of `config.yaml`: the peer charm's, and Patroni's timing.
pub(super) const TABLE: &[Spec] = &[
    Spec {
        name: "synchronous_node_count",
        rule: Rule::Count,
        target: Target::Charm,
    },
    Spec {
        name: "synchronous_mode_strict",
        rule: Rule::Bool,
        target: Target::Charm,
    },
    Spec {
        name: QUORUM,
        rule: Rule::Bool,
        target: Target::Charm,
    },
    Spec {
        name: "patroni_ttl",
        rule: Rule::Int(20, 300),
        target: Target::Charm,
    },
    Spec {
        name: "patroni_loop_wait",
        rule: Rule::Int(1, 60),
        target: Target::Charm,
    },
    Spec {
        name: "patroni_retry_timeout",
        rule: Rule::Int(3, 120),
        target: Target::Charm,
    },
    Spec {
        name: DISK_WARNING,
        rule: Rule::Int(50, 95),
        target: Target::Charm,
    },
    Spec {
        name: DISK_READ_ONLY,
        rule: Rule::Int(60, 99),
        target: Target::Charm,
    },
    Spec {
        name: SYSTEM_USERS,
        rule: Rule::Secret,
        target: Target::Charm,
    },
    Spec {
        name: "connection_authentication_timeout",
        rule: Rule::Int(1, 600),
        target: Target::Local("authentication_timeout"),
    },
    Spec {
        name: "connection_statement_timeout",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("statement_timeout"),
    },
    Spec {
        name: "cpu_parallel_leader_participation",
        rule: Rule::Bool,
        target: Target::Local("parallel_leader_participation"),
    },
    Spec {
        name: "cpu_max_logical_replication_workers",
        rule: Rule::Workers,
        target: Target::Dynamic("max_logical_replication_workers"),
    },
    Spec {
        name: "cpu_max_parallel_maintenance_workers",
        rule: Rule::Workers,
        target: Target::Local("max_parallel_maintenance_workers"),
    },
    Spec {
        name: "cpu_max_parallel_workers",
        rule: Rule::Workers,
        target: Target::Local("max_parallel_workers"),
    },
    Spec {
        name: "cpu_max_sync_workers_per_subscription",
        rule: Rule::Workers,
        target: Target::Local("max_sync_workers_per_subscription"),
    },
    Spec {
        name: "cpu_max_worker_processes",
        rule: Rule::Workers,
        target: Target::Dynamic("max_worker_processes"),
    },
    Spec {
        name: "cpu_wal_compression",
        rule: Rule::Bool,
        target: Target::Local("wal_compression"),
    },
    Spec {
        name: "durability_maximum_lag_on_failover",
        rule: Rule::Int(0, 9_223_372_036_854_775_807),
        target: Target::Charm,
    },
    Spec {
        name: "durability_synchronous_commit",
        rule: Rule::OneOf(&["on", "remote_apply", "remote_write"]),
        target: Target::Local("synchronous_commit"),
    },
    Spec {
        name: "durability_wal_keep_size",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Dynamic("wal_keep_size"),
    },
    Spec {
        name: "experimental_max_connections",
        rule: Rule::Int(10, 262_143),
        target: Target::Charm,
    },
    Spec {
        name: "instance_default_text_search_config",
        rule: Rule::OneOf(words::TEXT_SEARCH),
        target: Target::Local("default_text_search_config"),
    },
    Spec {
        name: "instance_max_locks_per_transaction",
        rule: Rule::Int(64, 2_147_483_647),
        target: Target::Dynamic("max_locks_per_transaction"),
    },
    Spec {
        name: "instance_password_encryption",
        rule: Rule::OneOf(&["md5", "scram-sha-256"]),
        target: Target::Local("password_encryption"),
    },
    Spec {
        name: "instance_synchronize_seqscans",
        rule: Rule::Bool,
        target: Target::Local("synchronize_seqscans"),
    },
    Spec {
        name: "ldap_map",
        rule: Rule::Text,
        target: Target::Charm,
    },
    Spec {
        name: "ldap_search_filter",
        rule: Rule::Text,
        target: Target::Charm,
    },
    Spec {
        name: "logging_client_min_messages",
        rule: Rule::OneOf(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
        ]),
        target: Target::Local("client_min_messages"),
    },
    Spec {
        name: "logging_log_connections",
        rule: Rule::Bool,
        target: Target::Local("log_connections"),
    },
    Spec {
        name: "logging_log_disconnections",
        rule: Rule::Bool,
        target: Target::Local("log_disconnections"),
    },
    Spec {
        name: "logging_log_lock_waits",
        rule: Rule::Bool,
        target: Target::Local("log_lock_waits"),
    },
    Spec {
        name: "logging_log_min_duration_statement",
        rule: Rule::Int(-1, 2_147_483_647),
        target: Target::Local("log_min_duration_statement"),
    },
    Spec {
        name: "logging_track_functions",
        rule: Rule::OneOf(&["none", "pl", "all"]),
        target: Target::Local("track_functions"),
    },
    Spec {
        name: "memory_maintenance_work_mem",
        rule: Rule::Int(1024, 2_147_483_647),
        target: Target::Local("maintenance_work_mem"),
    },
    Spec {
        name: "memory_max_prepared_transactions",
        rule: Rule::Int(0, 262_143),
        target: Target::Dynamic("max_prepared_transactions"),
    },
    Spec {
        name: "memory_shared_buffers",
        rule: Rule::Int(16, 1_073_741_823),
        target: Target::Dynamic("shared_buffers"),
    },
    Spec {
        name: "memory_temp_buffers",
        rule: Rule::Int(100, 1_073_741_823),
        target: Target::Local("temp_buffers"),
    },
    Spec {
        name: "memory_work_mem",
        rule: Rule::Int(64, 2_147_483_647),
        target: Target::Local("work_mem"),
    },
    Spec {
        name: "optimizer_constraint_exclusion",
        rule: Rule::OneOf(&["on", "off", "partition"]),
        target: Target::Local("constraint_exclusion"),
    },
    Spec {
        name: "optimizer_cpu_index_tuple_cost",
        rule: Rule::Float(0.0, f64::MAX),
        target: Target::Local("cpu_index_tuple_cost"),
    },
    Spec {
        name: "optimizer_cpu_operator_cost",
        rule: Rule::Float(0.0, f64::MAX),
        target: Target::Local("cpu_operator_cost"),
    },
    Spec {
        name: "optimizer_cpu_tuple_cost",
        rule: Rule::Float(0.0, f64::MAX),
        target: Target::Local("cpu_tuple_cost"),
    },
    Spec {
        name: "optimizer_cursor_tuple_fraction",
        rule: Rule::Float(0.0, 1.0),
        target: Target::Local("cursor_tuple_fraction"),
    },
    Spec {
        name: "optimizer_default_statistics_target",
        rule: Rule::Int(1, 10_000),
        target: Target::Local("default_statistics_target"),
    },
    Spec {
        name: "optimizer_enable_async_append",
        rule: Rule::Bool,
        target: Target::Local("enable_async_append"),
    },
    Spec {
        name: "optimizer_enable_bitmapscan",
        rule: Rule::Bool,
        target: Target::Local("enable_bitmapscan"),
    },
    Spec {
        name: "optimizer_enable_gathermerge",
        rule: Rule::Bool,
        target: Target::Local("enable_gathermerge"),
    },
    Spec {
        name: "optimizer_enable_hashagg",
        rule: Rule::Bool,
        target: Target::Local("enable_hashagg"),
    },
    Spec {
        name: "optimizer_enable_hashjoin",
        rule: Rule::Bool,
        target: Target::Local("enable_hashjoin"),
    },
    Spec {
        name: "optimizer_enable_incremental_sort",
        rule: Rule::Bool,
        target: Target::Local("enable_incremental_sort"),
    },
    Spec {
        name: "optimizer_enable_indexonlyscan",
        rule: Rule::Bool,
        target: Target::Local("enable_indexonlyscan"),
    },
    Spec {
        name: "optimizer_enable_indexscan",
        rule: Rule::Bool,
        target: Target::Local("enable_indexscan"),
    },
    Spec {
        name: "optimizer_enable_material",
        rule: Rule::Bool,
        target: Target::Local("enable_material"),
    },
    Spec {
        name: "optimizer_enable_memoize",
        rule: Rule::Bool,
        target: Target::Local("enable_memoize"),
    },
    Spec {
        name: "optimizer_enable_mergejoin",
        rule: Rule::Bool,
        target: Target::Local("enable_mergejoin"),
    },
    Spec {
        name: "optimizer_enable_nestloop",
        rule: Rule::Bool,
        target: Target::Local("enable_nestloop"),
    },
    Spec {
        name: "optimizer_enable_parallel_append",
        rule: Rule::Bool,
        target: Target::Local("enable_parallel_append"),
    },
    Spec {
        name: "optimizer_enable_parallel_hash",
        rule: Rule::Bool,
        target: Target::Local("enable_parallel_hash"),
    },
    Spec {
        name: "optimizer_enable_partition_pruning",
        rule: Rule::Bool,
        target: Target::Local("enable_partition_pruning"),
    },
    Spec {
        name: "optimizer_enable_partitionwise_aggregate",
        rule: Rule::Bool,
        target: Target::Local("enable_partitionwise_aggregate"),
    },
    Spec {
        name: "optimizer_enable_partitionwise_join",
        rule: Rule::Bool,
        target: Target::Local("enable_partitionwise_join"),
    },
    Spec {
        name: "optimizer_enable_seqscan",
        rule: Rule::Bool,
        target: Target::Local("enable_seqscan"),
    },
    Spec {
        name: "optimizer_enable_sort",
        rule: Rule::Bool,
        target: Target::Local("enable_sort"),
    },
    Spec {
        name: "optimizer_enable_tidscan",
        rule: Rule::Bool,
        target: Target::Local("enable_tidscan"),
    },
    Spec {
        name: "optimizer_from_collapse_limit",
        rule: Rule::Int(1, 2_147_483_647),
        target: Target::Local("from_collapse_limit"),
    },
    Spec {
        name: "optimizer_geqo",
        rule: Rule::Bool,
        target: Target::Local("geqo"),
    },
    Spec {
        name: "optimizer_geqo_effort",
        rule: Rule::Int(1, 10),
        target: Target::Local("geqo_effort"),
    },
    Spec {
        name: "optimizer_geqo_generations",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("geqo_generations"),
    },
    Spec {
        name: "optimizer_geqo_pool_size",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("geqo_pool_size"),
    },
    Spec {
        name: "optimizer_geqo_seed",
        rule: Rule::Float(0.0, 1.0),
        target: Target::Local("geqo_seed"),
    },
    Spec {
        name: "optimizer_geqo_selection_bias",
        rule: Rule::Float(1.5, 2.0),
        target: Target::Local("geqo_selection_bias"),
    },
    Spec {
        name: "optimizer_geqo_threshold",
        rule: Rule::Int(2, 2_147_483_647),
        target: Target::Local("geqo_threshold"),
    },
    Spec {
        name: "optimizer_jit",
        rule: Rule::Bool,
        target: Target::Local("jit"),
    },
    Spec {
        name: "optimizer_jit_above_cost",
        rule: Rule::Float(-1.0, f64::MAX),
        target: Target::Local("jit_above_cost"),
    },
    Spec {
        name: "optimizer_jit_inline_above_cost",
        rule: Rule::Float(-1.0, f64::MAX),
        target: Target::Local("jit_inline_above_cost"),
    },
    Spec {
        name: "optimizer_jit_optimize_above_cost",
        rule: Rule::Float(-1.0, f64::MAX),
        target: Target::Local("jit_optimize_above_cost"),
    },
    Spec {
        name: "optimizer_join_collapse_limit",
        rule: Rule::Int(1, 2_147_483_647),
        target: Target::Local("join_collapse_limit"),
    },
    Spec {
        name: "optimizer_min_parallel_index_scan_size",
        rule: Rule::Int(0, 715_827_882),
        target: Target::Local("min_parallel_index_scan_size"),
    },
    Spec {
        name: "optimizer_min_parallel_table_scan_size",
        rule: Rule::Int(0, 715_827_882),
        target: Target::Local("min_parallel_table_scan_size"),
    },
    Spec {
        name: "optimizer_parallel_setup_cost",
        rule: Rule::Float(0.0, f64::MAX),
        target: Target::Local("parallel_setup_cost"),
    },
    Spec {
        name: "optimizer_parallel_tuple_cost",
        rule: Rule::Float(0.0, f64::MAX),
        target: Target::Local("parallel_tuple_cost"),
    },
    Spec {
        name: "optimizer_pg_stat_statements_track",
        rule: Rule::OneOf(&["none", "top", "all"]),
        target: Target::Local("pg_stat_statements.track"),
    },
    Spec {
        name: "optimizer_pg_stat_statements_track_utility",
        rule: Rule::Bool,
        target: Target::Local("pg_stat_statements.track_utility"),
    },
    Spec {
        name: "optimizer_pg_stat_statements_save",
        rule: Rule::Bool,
        target: Target::Local("pg_stat_statements.save"),
    },
    Spec {
        name: "optimizer_track_io_timing",
        rule: Rule::Bool,
        target: Target::Local("track_io_timing"),
    },
    Spec {
        name: "optimizer_track_wal_io_timing",
        rule: Rule::Bool,
        target: Target::Local("track_wal_io_timing"),
    },
    Spec {
        name: "optimizer_track_functions",
        rule: Rule::OneOf(&["none", "pl", "all"]),
        target: Target::Local("track_functions"),
    },
    Spec {
        name: "profile",
        rule: Rule::OneOf(&["testing", "production"]),
        target: Target::Charm,
    },
    Spec {
        name: "profile_limit_memory",
        rule: Rule::Int(128, 9_999_999),
        target: Target::Charm,
    },
    Spec {
        name: "request_array_nulls",
        rule: Rule::Bool,
        target: Target::Local("array_nulls"),
    },
    Spec {
        name: "request_backslash_quote",
        rule: Rule::OneOf(&["safe_encoding", "on", "off"]),
        target: Target::Local("backslash_quote"),
    },
    Spec {
        name: "request_date_style",
        rule: Rule::DateStyle,
        target: Target::Local("DateStyle"),
    },
    Spec {
        name: "request_deadlock_timeout",
        rule: Rule::Int(1, 2_147_483_647),
        target: Target::Local("deadlock_timeout"),
    },
    Spec {
        name: "request_default_transaction_deferrable",
        rule: Rule::Bool,
        target: Target::Local("default_transaction_deferrable"),
    },
    Spec {
        name: "request_default_transaction_isolation",
        rule: Rule::OneOf(&[
            "serializable",
            "repeatable read",
            "read committed",
            "read uncommitted",
        ]),
        target: Target::Local("default_transaction_isolation"),
    },
    Spec {
        name: "request_default_transaction_read_only",
        rule: Rule::Bool,
        target: Target::Dynamic("default_transaction_read_only"),
    },
    Spec {
        name: "request_escape_string_warning",
        rule: Rule::Bool,
        target: Target::Local("escape_string_warning"),
    },
    Spec {
        name: "request_lock_timeout",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("lock_timeout"),
    },
    Spec {
        name: "request_standard_conforming_strings",
        rule: Rule::Bool,
        target: Target::Local("standard_conforming_strings"),
    },
    Spec {
        name: "request_time_zone",
        rule: Rule::TimeZone,
        target: Target::Local("TimeZone"),
    },
    Spec {
        name: "request_track_activity_query_size",
        rule: Rule::Int(100, 1_048_576),
        target: Target::Local("track_activity_query_size"),
    },
    Spec {
        name: "request_transform_null_equals",
        rule: Rule::Bool,
        target: Target::Local("transform_null_equals"),
    },
    Spec {
        name: "request_xmlbinary",
        rule: Rule::OneOf(&["base64", "hex"]),
        target: Target::Local("xmlbinary"),
    },
    Spec {
        name: "request_xmloption",
        rule: Rule::OneOf(&["content", "document"]),
        target: Target::Local("xmloption"),
    },
    Spec {
        name: "response_bytea_output",
        rule: Rule::OneOf(&["escape", "hex"]),
        target: Target::Local("bytea_output"),
    },
    Spec {
        name: "response_exit_on_error",
        rule: Rule::Bool,
        target: Target::Local("exit_on_error"),
    },
    Spec {
        name: "response_extra_float_digits",
        rule: Rule::Int(-15, 3),
        target: Target::Local("extra_float_digits"),
    },
    Spec {
        name: "response_gin_fuzzy_search_limit",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("gin_fuzzy_search_limit"),
    },
    Spec {
        name: "response_lc_monetary",
        rule: Rule::Locale,
        target: Target::Local("lc_monetary"),
    },
    Spec {
        name: "response_lc_numeric",
        rule: Rule::Locale,
        target: Target::Local("lc_numeric"),
    },
    Spec {
        name: "response_lc_time",
        rule: Rule::Locale,
        target: Target::Local("lc_time"),
    },
    Spec {
        name: "session_idle_in_transaction_session_timeout",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("idle_in_transaction_session_timeout"),
    },
    Spec {
        name: "storage_bgwriter_lru_maxpages",
        rule: Rule::Int(0, 1_073_741_823),
        target: Target::Local("bgwriter_lru_maxpages"),
    },
    Spec {
        name: "storage_bgwriter_lru_multiplier",
        rule: Rule::Float(0.0, 10.0),
        target: Target::Local("bgwriter_lru_multiplier"),
    },
    Spec {
        name: "storage_default_table_access_method",
        rule: Rule::OneOf(&["heap"]),
        target: Target::Local("default_table_access_method"),
    },
    Spec {
        name: "storage_gin_pending_list_limit",
        rule: Rule::Int(64, 2_147_483_647),
        target: Target::Local("gin_pending_list_limit"),
    },
    Spec {
        name: "storage_hot_standby_feedback",
        rule: Rule::Bool,
        target: Target::Local("hot_standby_feedback"),
    },
    Spec {
        name: "storage_old_snapshot_threshold",
        rule: Rule::Int(-1, 86_400),
        target: Target::Local("old_snapshot_threshold"),
    },
    Spec {
        name: "vacuum_autovacuum_analyze_scale_factor",
        rule: Rule::Float(0.0, 100.0),
        target: Target::Local("autovacuum_analyze_scale_factor"),
    },
    Spec {
        name: "vacuum_autovacuum_analyze_threshold",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("autovacuum_analyze_threshold"),
    },
    Spec {
        name: "vacuum_autovacuum_freeze_max_age",
        rule: Rule::Int(100_000, 2_000_000_000),
        target: Target::Local("autovacuum_freeze_max_age"),
    },
    Spec {
        name: "vacuum_autovacuum_naptime",
        rule: Rule::Int(1, 2_147_483),
        target: Target::Local("autovacuum_naptime"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_cost_delay",
        rule: Rule::Float(-1.0, 100.0),
        target: Target::Local("autovacuum_vacuum_cost_delay"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_cost_limit",
        rule: Rule::Int(-1, 10_000),
        target: Target::Local("autovacuum_vacuum_cost_limit"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_insert_scale_factor",
        rule: Rule::Float(0.0, 100.0),
        target: Target::Local("autovacuum_vacuum_insert_scale_factor"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_insert_threshold",
        rule: Rule::Int(-1, 2_147_483_647),
        target: Target::Local("autovacuum_vacuum_insert_threshold"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_scale_factor",
        rule: Rule::Float(0.0, 100.0),
        target: Target::Local("autovacuum_vacuum_scale_factor"),
    },
    Spec {
        name: "vacuum_autovacuum_vacuum_threshold",
        rule: Rule::Int(0, 2_147_483_647),
        target: Target::Local("autovacuum_vacuum_threshold"),
    },
    Spec {
        name: "vacuum_vacuum_cost_delay",
        rule: Rule::Float(0.0, 100.0),
        target: Target::Local("vacuum_cost_delay"),
    },
    Spec {
        name: "vacuum_vacuum_cost_limit",
        rule: Rule::Int(1, 10_000),
        target: Target::Local("vacuum_cost_limit"),
    },
    Spec {
        name: "vacuum_vacuum_cost_page_dirty",
        rule: Rule::Int(0, 10_000),
        target: Target::Local("vacuum_cost_page_dirty"),
    },
    Spec {
        name: "vacuum_vacuum_cost_page_hit",
        rule: Rule::Int(0, 10_000),
        target: Target::Local("vacuum_cost_page_hit"),
    },
    Spec {
        name: "vacuum_vacuum_cost_page_miss",
        rule: Rule::Int(0, 10_000),
        target: Target::Local("vacuum_cost_page_miss"),
    },
    Spec {
        name: "vacuum_vacuum_failsafe_age",
        rule: Rule::Int(0, 2_100_000_000),
        target: Target::Local("vacuum_failsafe_age"),
    },
    Spec {
        name: "vacuum_vacuum_freeze_min_age",
        rule: Rule::Int(0, 1_000_000_000),
        target: Target::Local("vacuum_freeze_min_age"),
    },
    Spec {
        name: "vacuum_vacuum_freeze_table_age",
        rule: Rule::Int(0, 2_000_000_000),
        target: Target::Local("vacuum_freeze_table_age"),
    },
    Spec {
        name: "vacuum_vacuum_multixact_failsafe_age",
        rule: Rule::Int(0, 2_100_000_000),
        target: Target::Local("vacuum_multixact_failsafe_age"),
    },
    Spec {
        name: "vacuum_vacuum_multixact_freeze_min_age",
        rule: Rule::Int(0, 1_000_000_000),
        target: Target::Local("vacuum_multixact_freeze_min_age"),
    },
    Spec {
        name: "vacuum_vacuum_multixact_freeze_table_age",
        rule: Rule::Int(0, 2_000_000_000),
        target: Target::Local("vacuum_multixact_freeze_table_age"),
    },
    Spec {
        name: "plugin_address_standardizer_data_us_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["address_standardizer_data_us"],
            needs: &["plugin_postgis_enable"],
        },
    },
    Spec {
        name: "plugin_address_standardizer_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["address_standardizer"],
            needs: &["plugin_postgis_enable"],
        },
    },
    Spec {
        name: "plugin_audit_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pgaudit"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_bloom_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["bloom"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_bool_plperl_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["bool_plperl"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_btree_gin_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["btree_gin"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_btree_gist_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["btree_gist"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_citext_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["citext"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_cube_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["cube"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_debversion_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["debversion"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_dict_int_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["dict_int"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_dict_xsyn_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["dict_xsyn"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_earthdistance_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["earthdistance"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_fuzzystrmatch_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["fuzzystrmatch"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_hll_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["hll"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_hstore_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["hstore"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_hypopg_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["hypopg"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_icu_ext_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["icu_ext"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_intarray_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["intarray"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_ip4r_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["ip4r"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_isn_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["isn"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_jsonb_plperl_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["jsonb_plperl"],
            needs: &["plugin_plperl_enable"],
        },
    },
    Spec {
        name: "plugin_lo_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["lo"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_ltree_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["ltree"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_old_snapshot_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["old_snapshot"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_orafce_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["orafce"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pg_freespacemap_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pg_freespacemap"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pg_similarity_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pg_similarity"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pg_trgm_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pg_trgm"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pg_visibility_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pg_visibility"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pgrowlocks_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pgrowlocks"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pgstattuple_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pgstattuple"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pg_stat_statements_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pg_stat_statements"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_plperl_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["plperl"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_plpython3u_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["plpython3u"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_pltcl_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["pltcl"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_postgis_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["postgis"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_postgis_raster_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["postgis_raster"],
            needs: &["plugin_postgis_enable"],
        },
    },
    Spec {
        name: "plugin_postgis_tiger_geocoder_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["postgis_tiger_geocoder"],
            needs: &["plugin_postgis_enable", "plugin_fuzzystrmatch_enable"],
        },
    },
    Spec {
        name: "plugin_postgis_topology_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["postgis_topology"],
            needs: &["plugin_postgis_enable"],
        },
    },
    Spec {
        name: "plugin_prefix_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["prefix"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_rdkit_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["rdkit"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_seg_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["seg"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_spi_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["refint", "autoinc", "insert_username", "moddatetime"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_tablefunc_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["tablefunc"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_tcn_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["tcn"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_tds_fdw_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["tds_fdw"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_timescaledb_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["timescaledb"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_tsm_system_rows_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["tsm_system_rows"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_tsm_system_time_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["tsm_system_time"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_unaccent_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["unaccent"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_uuid_ossp_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["uuid-ossp"],
            needs: &[],
        },
    },
    Spec {
        name: "plugin_vector_enable",
        rule: Rule::Bool,
        target: Target::Extension {
            names: &["vector"],
            needs: &[],
        },
    },
];
