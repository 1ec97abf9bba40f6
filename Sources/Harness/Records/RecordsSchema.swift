// SPDX-License-Identifier: Apache-2.0
internal import GRDB

/// The tables, in versions; docs/records.md explains the columns.
///
/// A version that has been released is never changed: the next one is added behind it.
enum RecordsSchema {
    /// Marks the file as ours ("bpft"); `file` and other bpftests read it.
    static let applicationID = 0x6270_6674

    static let migrator: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE run (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        started INTEGER NOT NULL,
                        ended INTEGER,
                        exit INTEGER,
                        bail_out TEXT,
                        process TEXT NOT NULL,
                        version TEXT NOT NULL,
                        host TEXT NOT NULL,
                        cpus INTEGER NOT NULL,
                        qemu TEXT NOT NULL,
                        isolation TEXT,
                        seed TEXT
                    );
                    CREATE INDEX run_by_start ON run (started);
                    CREATE TABLE kernel (
                        id INTEGER PRIMARY KEY,
                        release TEXT NOT NULL,
                        image TEXT NOT NULL,
                        origin TEXT NOT NULL,
                        UNIQUE (release, image)
                    );
                    CREATE TABLE run_kernel (
                        kernel INTEGER NOT NULL REFERENCES kernel (id),
                        run INTEGER NOT NULL REFERENCES run (id),
                        spec TEXT NOT NULL,
                        accelerator TEXT,
                        PRIMARY KEY (kernel, run)
                    ) WITHOUT ROWID;
                    CREATE TABLE test_case (
                        id INTEGER PRIMARY KEY,
                        suite TEXT NOT NULL,
                        name TEXT NOT NULL,
                        UNIQUE (suite, name)
                    );
                    CREATE TABLE result (
                        id INTEGER PRIMARY KEY,
                        run INTEGER NOT NULL REFERENCES run (id),
                        kernel INTEGER NOT NULL REFERENCES kernel (id),
                        test_case INTEGER NOT NULL REFERENCES test_case (id),
                        at INTEGER NOT NULL,
                        outcome TEXT NOT NULL,
                        blame TEXT,
                        reason TEXT,
                        verdict TEXT,
                        duration INTEGER NOT NULL
                    );
                    CREATE INDEX result_by_case ON result (test_case);
                    CREATE INDEX result_by_run ON result (run);
                    PRAGMA application_id = \(applicationID);
                    """)
        }
        return migrator
    }()
}
