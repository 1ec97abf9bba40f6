// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

extension SurfaceReader {
    /// Says that an object is not there before kernels are fetched for it.
    public static func require(_ files: [String]) throws(HarnessError) {
        for file in files where !FileManager.default.fileExists(atPath: file) {
            throw .usage("--check: \(file) does not exist")
        }
    }

    /// Holds objects against kernels, and has the kernels load them: one machine for each kernel.
    ///
    /// - Parameter files: BPF objects on this host.
    /// - Throws: `.usage` for one that is not there.
    public func check(_ files: [String], on kernels: [PreparedKernel]) async throws(HarnessError) -> CheckReport {
        try Self.require(files)
        let needs = try await ObjectNeeds.read(files, runner.guestFiles)
        let answers = try await each(kernels) { (kernel) throws(HarnessError) in try ask(kernel, files, needs) }
        let names = Predictor.Names(answers.map(\.kernel.surface))
        let known = answers.map { answer in
            CheckReport.Kernel(
                release: answer.kernel.surface.kernel,
                predictions: needs.map { one in
                    guard case .success(let needs) = one else { return [] }
                    let predictor = Predictor(needs, answer.kernel, names: names)
                    return needs.programs.map { predictor.predict($0) }
                }, answers: answer.answers)
        }
        return CheckReport(files: files, needs: needs, kernels: known)
    }

    private struct Answer: Sendable {
        var kernel: KernelSurface
        var answers: LoadAnswers
    }

    /// A kernel's surface, and its answers; blocks.
    private func ask(
        _ kernel: PreparedKernel, _ files: [String], _ needs: [Result<ObjectNeeds, ObjectFile.Problem>]
    ) throws(HarnessError) -> Answer {
        let machine = try machine(kernel)
        defer { machine.kill() }
        // A broken object goes there as well, so that the numbers are the same; nothing is loaded from it.
        let pushed = files.enumerated().map { number, file in
            let isSound = if case .success = needs[number] { true } else { false }
            return GuestFile(isSound ? .file(FilePath(file)) : .bytes([]), as: "\(ObjectFile.folder)/check/\(number).o")
        }
        do {
            try machine.push(pushed)
        } catch .cancelled {
            throw .cancelled
        } catch {
            throw .infrastructure("\(kernel.build.release): the objects could not be brought in: \(error)")
        }
        let call = GuestCall(
            machine: machine, limit: runner.options.caseLimit, outputLimit: LoadAnswers.bytesAtMost)
        let said = try call.run([Agent.builtIn(runner.guestFiles).guestPath, "load"] + pushed.map(\.path))
        for splat in said.splats { log("\(kernel.build.release): the kernel complained while loading: \(splat)") }
        if let trouble = said.trouble { log("\(kernel.build.release): loading: \(trouble)") }
        let answers = LoadAnswers(said.output)
        // A machine in which something has gone wrong is not asked for more.
        if let known = try cached(kernel) { return Answer(kernel: known, answers: answers) }
        if said.trouble == nil, said.splats.isEmpty {
            return Answer(kernel: try read(kernel, machine), answers: answers)
        }
        return Answer(kernel: try surface(of: kernel), answers: answers)
    }
}
