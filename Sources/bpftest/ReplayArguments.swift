// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// What replay and minimise take: an archive, and with what it is run.
struct ReplayArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("The archive, a .tar.zst of run --archive.", valueName: "archive"))
    var archive: String

    @Option(help: ArgumentHelp("The bundle with the archive's shared parts, if not beside it.", valueName: "file"))
    var bundle: String?

    @OptionGroup
    var accelerator: AcceleratorArguments

    /// Opens the archive on a thread that may block, and does something with it.
    ///
    /// - Throws: `.cancelled` where the user said stop meanwhile, whatever came of it.
    func with<Value: Sendable>(
        _ qemu: QEMU, _ cancellation: Cancellation,
        _ body: @escaping @Sendable (ArchiveReplay) throws(HarnessError) -> Value
    ) async throws(HarnessError) -> Value {
        let environment = ProcessInfo.processInfo.environment
        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        let (archive, bundle) = (FilePath(archive), bundle.map { FilePath($0) })
        let disablesKVM = accelerator.disableKvm
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) in
                try body(
                    ArchiveReplay(
                        archive, bundle: bundle, qemu: qemu, folders: Folders(environment: environment),
                        disablesKVM: disablesKVM, work: work, cancellation: cancellation, log: Terminal.log))
            }
        }
        if cancellation.isCancelled { throw .cancelled }
        return try answer.get()
    }
}
