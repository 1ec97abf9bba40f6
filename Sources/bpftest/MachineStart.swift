// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// How a command that makes machines begins: QEMU and the kernels are found while it does other things.
struct MachineStart: Sendable {
    let environment: [String: String]
    let guestFiles: GuestFiles
    private let folders: Folders
    private let cancellation: Cancellation
    private let preparation: Task<Result<(qemu: QEMU, kernels: [PreparedKernel]), HarnessError>, Never>

    /// Begins. An interruption stops the search, and fetching, from here on.
    ///
    /// - Parameter kernels: as `-k` takes them.
    init(
        _ kernels: [String], _ arguments: MachineArguments, _ cancellation: Cancellation
    ) throws(HarnessError) {
        let environment = ProcessInfo.processInfo.environment
        let folders = Folders(environment: environment)
        let guestFiles = try GuestFiles.locate(environment: environment)
        self.environment = environment
        self.folders = folders
        self.guestFiles = guestFiles
        self.cancellation = cancellation
        let (modules, sources) = (arguments.modules, arguments.kernelSources)
        let preparation = Task { () -> Result<(qemu: QEMU, kernels: [PreparedKernel]), HarnessError> in
            do throws(HarnessError) {
                let qemu = try RunCommand.qemu(environment)
                return .success(
                    (qemu, try await RunCommand.prepareKernels(kernels, modules: modules, sources, guestFiles, folders))
                )
            } catch {
                return .failure(error)
            }
        }
        self.preparation = preparation
        Interrupts.stop(cancellation) { preparation.cancel() }
    }

    /// Waits for QEMU and the kernels.
    func ready(_ options: RunOptions) async throws(HarnessError) -> (runner: Runner, kernels: [PreparedKernel]) {
        let (qemu, kernels) = try await preparation.value.get()
        return (
            Runner(
                qemu: qemu, guestFiles: guestFiles, folders: folders, options: options, cancellation: cancellation,
                environment: environment), kernels
        )
    }

    /// The kernels are not wanted after all.
    func giveUp() { preparation.cancel() }

    /// Runs a command to its end, and bpftest with it: what went wrong is said on stderr and has its exit status.
    static func carryOut(_ command: (Cancellation) async throws(HarnessError) -> Int32) async -> Never {
        let code: Int32
        do throws(HarnessError) {
            let cancellation = try RunCommand.cancellation()
            do throws(HarnessError) {
                code = try await command(cancellation)
            } catch {
                // ^C at a terminal reaches apt and its like too: what they complain about then is no news.
                throw cancellation.isCancelled ? .cancelled : error
            }
        } catch {
            code = Terminal.report(error)
        }
        Terminal.end(code)
    }
}
