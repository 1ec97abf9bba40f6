// SPDX-License-Identifier: Apache-2.0
internal import SystemPackage
internal import VMRunner

/// A kernel's surface, and the types that it was read from.
public struct KernelSurface: Sendable {
    public let surface: Surface
    let types: KernelTypes

    init(_ capture: SurfaceCapture, kernel: String) throws(SurfaceError) {
        types = try KernelTypes(capture)
        surface = Surface(capture, types: types, kernel: kernel)
    }
}

/// Finds out the surfaces of kernels: from the cache, or in machines.
public struct SurfaceReader: Sendable {
    let runner: Runner
    let work: WorkFolder
    let store: SurfaceStore
    let log: @Sendable (String) -> Void
    /// Machines at once.
    let jobs: Int

    public init(_ runner: Runner, work: WorkFolder, jobs: Int, log: @escaping @Sendable (String) -> Void) {
        self.runner = runner
        self.work = work
        self.jobs = max(1, jobs)
        self.log = log
        store = SurfaceStore(folders: runner.folders)
    }

    /// The surfaces of kernels, in their order.
    public func surfaces(of kernels: [PreparedKernel]) async throws(HarnessError) -> [KernelSurface] {
        try await each(kernels) { (kernel) throws(HarnessError) in try surface(of: kernel) }
    }

    /// Does something for each kernel, each on a thread of its own, a few at once.
    func each<Value: Sendable>(
        _ kernels: [PreparedKernel], _ body: @escaping @Sendable (PreparedKernel) throws(HarnessError) -> Value
    ) async throws(HarnessError) -> [Value] {
        let results = await withTaskGroup(of: (Int, Result<Value, HarnessError>).self) { group in
            var results: [(Int, Result<Value, HarnessError>)] = []
            var next = 0
            func start() {
                guard next < kernels.count else { return }
                let index = next
                next += 1
                let kernel = kernels[index]
                group.addTask {
                    // A machine dies with the thread that made it.
                    let result = await Runner.onThread {
                        do throws(HarnessError) {
                            return Result<Value, HarnessError>.success(try body(kernel))
                        } catch {
                            return .failure(error)
                        }
                    }
                    return (index, result)
                }
            }
            for _ in 0..<min(jobs, kernels.count) { start() }
            while let result = await group.next() {
                results.append(result)
                start()
            }
            return results
        }
        var values: [Value] = []
        for result in results.sorted(by: { $0.0 < $1.0 }) { values.append(try result.1.get()) }
        return values
    }

    /// From the cache, or from a machine; blocks.
    func surface(of kernel: PreparedKernel) throws(HarnessError) -> KernelSurface {
        if let known = try cached(kernel) { return known }
        let machine = try machine(kernel)
        defer { machine.kill() }
        return try read(kernel, machine)
    }

    func cached(_ kernel: PreparedKernel) throws(HarnessError) -> KernelSurface? {
        let path = try store.path(kernel, runner.guestFiles, settings: settings(kernel))
        // What cannot be understood any more is read anew.
        return store.find(path).flatMap { try? KernelSurface($0, kernel: kernel.build.release) }
    }

    private func settings(_ kernel: PreparedKernel) -> MachineSettings {
        var settings = runner.options.settings
        settings.securityModules = settings.securityModules ?? kernel.build.securityModules
        return settings
    }

    /// A pristine machine of the kernel.
    func machine(_ kernel: PreparedKernel) throws(HarnessError) -> Machine {
        let factory = try runner.factory(kernel, [.builtIn(runner.guestFiles)], work) { log($0) }
        do {
            return try factory.source().machine()
        } catch .cancelled {
            throw .cancelled
        } catch {
            let console = error.console.isEmpty ? "" : "; console: " + error.console.suffix(5).joined(separator: " | ")
            throw .infrastructure("\(kernel.build.release): \(error)\(console)")
        }
    }

    /// Asks the agent in a machine, and keeps the answer.
    func read(_ kernel: PreparedKernel, _ machine: Machine) throws(HarnessError) -> KernelSurface {
        let name = kernel.build.release
        let call = GuestCall(
            machine: machine, limit: runner.options.caseLimit, outputLimit: UInt64(SurfaceCapture.bytesAtMost))
        let answer = try call.run([Agent.builtIn(runner.guestFiles).guestPath, "surface"])
        for splat in answer.splats { log("\(name): the kernel complained: \(splat)") }
        if let trouble = answer.trouble {
            let words = GuestParts.printable(answer.complaint[...]).split(separator: "\n").suffix(3)
            throw .infrastructure(
                "\(name): its surface could not be read: \(trouble)"
                    + (words.isEmpty ? "" : ": " + words.joined(separator: "; ")))
        }
        do throws(SurfaceError) {
            let surface = try KernelSurface(try SurfaceCapture(answer.output), kernel: name)
            // One that broke meanwhile is not kept.
            if answer.splats.isEmpty { keep(answer.output, kernel) }
            return surface
        } catch {
            throw .infrastructure("\(name): what the guest said of its surface makes no sense: \(error)")
        }
    }

    private func keep(_ bytes: [UInt8], _ kernel: PreparedKernel) {
        do throws(HarnessError) {
            try store.save(bytes, try store.path(kernel, runner.guestFiles, settings: settings(kernel)))
        } catch {
            // Only a matter of time: it is read again.
            log("\(error)")
        }
    }
}
