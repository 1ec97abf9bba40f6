// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// How a command that makes machines begins: QEMU and the kernels are found while it does other things.
struct MachineStart: Sendable {
    let environment: [String: String]
    let folders: Folders
    let guestFiles: GuestFiles
    private let cancellation: Cancellation
    private let preparation: Task<Result<(qemu: QEMU, kernels: [PreparedKernel]), HarnessError>, Never>

    /// Begins.
    ///
    /// - Parameter kernels: as `-k` takes them.
    init(
        _ kernels: [String], _ arguments: MachineArguments, _ cancellation: Cancellation
    ) throws(HarnessError) {
        try self.init(cancellation) { (guestFiles, folders) async throws(HarnessError) in
            try await Self.prepare(
                kernels, modules: arguments.modules, arguments.kernelSources, guestFiles, folders)
        }
    }

    /// Begins without kernels: they join the run.
    init(_ cancellation: Cancellation) throws(HarnessError) {
        try self.init(cancellation) { (_, _) async throws(HarnessError) in [] }
    }

    private init(
        _ cancellation: Cancellation,
        _ prepare: @escaping @Sendable (GuestFiles, Folders) async throws(HarnessError) -> [PreparedKernel]
    ) throws(HarnessError) {
        let environment = ProcessInfo.processInfo.environment
        let folders = Folders(environment: environment)
        let guestFiles = try GuestFiles.locate(environment: environment)
        self.environment = environment
        self.folders = folders
        self.guestFiles = guestFiles
        self.cancellation = cancellation
        preparation = Task { () -> Result<(qemu: QEMU, kernels: [PreparedKernel]), HarnessError> in
            do throws(HarnessError) {
                let qemu = try Self.qemu(environment)
                return .success((qemu, try await prepare(guestFiles, folders)))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Waits for QEMU and the kernels; who is interrupted meanwhile does not fetch on.
    func ready(_ options: RunOptions) async throws(HarnessError) -> (runner: Runner, kernels: [PreparedKernel]) {
        let prepared = await withTaskCancellationHandler {
            await preparation.value
        } onCancel: {
            preparation.cancel()
        }
        let (qemu, kernels) = try prepared.get()
        return (
            Runner(
                qemu: qemu, guestFiles: guestFiles, folders: folders, options: options, cancellation: cancellation,
                environment: environment), kernels
        )
    }

    /// The kernels are not wanted after all.
    func giveUp() { preparation.cancel() }

    static func qemu(_ environment: [String: String]) throws(HarnessError) -> QEMU {
        do {
            return try QEMU.find(environment: environment)
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// Finds or fetches kernels, checks what is known of them, and makes their guest images.
    ///
    /// - Parameters:
    ///   - specs: as `-k` takes them.
    ///   - modules: where the modules are, if not beside the kernels.
    static func prepare(
        _ specs: [String], modules: String?, _ sources: SourceOptions, _ guestFiles: GuestFiles, _ folders: Folders
    ) async throws(HarnessError) -> [PreparedKernel] {
        var kernels: [PreparedKernel] = []
        let store = KernelStore(folders: folders, sources: try sources.read()) { Terminal.log("bpftest: \($0)") }
        for spec in try await store.expand(specs) {
            kernels.append(try await PreparedKernel.prepare(spec, modules: modules, guestFiles, store))
        }
        return kernels
    }
}
