// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Harness
internal import SystemPackage

/// What run and matrix take about archives of failures; docs/archive.md.
struct ArchiveArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Pack every failure, with all that it takes to see it again, into an archive in this folder.",
            valueName: "dir"))
    var archive: String?

    @Flag(help: "With --archive: what the failures of a kernel share goes into one file beside the archives.")
    var bundle = false

    @Flag(help: "With --archive: record each failure with QEMU, instruction by instruction.")
    var record = false

    @Flag(help: "With --archive: vmlinux too, where it lies beside the kernel.")
    var archiveSymbols = false

    /// For a bpftest that this one starts elsewhere.
    func words(_ absolute: (String) -> String) -> [String] {
        (archive.map { ["--archive", absolute($0)] } ?? []) + (bundle ? ["--bundle"] : [])
            + (record ? ["--record"] : []) + (archiveSymbols ? ["--archive-symbols"] : [])
    }

    /// - Parameter usual: the folder where nothing is said; nil: no archives are wanted then.
    /// - Returns: nil: no archives.
    func options(usual: String? = nil) throws(HarnessError) -> ArchiveOptions? {
        guard let archive = archive ?? usual else {
            guard !bundle, !record, !archiveSymbols else {
                throw .usage("--bundle, --record and --archive-symbols want --archive DIR")
            }
            return nil
        }
        var options = ArchiveOptions(folder: FilePath(archive))
        options.bundles = bundle
        options.records = record
        options.symbols = archiveSymbols
        if self.archive != nil { try options.check() }
        return options
    }
}
