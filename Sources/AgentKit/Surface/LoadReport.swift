// SPDX-License-Identifier: Apache-2.0
internal import CBtfCache
internal import LinuxIO
internal import SystemPackage

/// `AGENT load FILE…`: what the kernel says of each program of the objects, each loaded alone.
///
/// Parts as in `SurfaceReport`; docs/surface-format.md, "What the guest sends".
enum LoadReport {
    static func write(_ paths: some Sequence<String>) {
        SurfaceReport.part("load", "1", [])
        // Only a matter of time: without it libbpf reads the kernel's types for every program.
        _ = cbtfcache_fill()
        for (number, path) in paths.enumerated() {
            SurfaceReport.part("object", "\(number)", [])
            do {
                let bytes = try readFile(path, limit: 256 << 20)
                for program in try BPFObjectFile(bytes).programs {
                    SurfaceReport.part("program", "-", Array(program.name.utf8))
                    say(load(bytes, program.name))
                }
            } catch {
                SurfaceReport.part("problem", "-", Array("\(error)".utf8))
            }
        }
        SurfaceReport.part("end", "-", [])
    }

    private static func say(_ result: Result<ProgramLoad.Outcome, LoadError>) {
        switch result {
        case .success(let outcome):
            guard let errno = outcome.errno else {
                SurfaceReport.part("loaded", "-", [])
                return
            }
            let reason = AnnotatedProgram.reason(outcome)
            SurfaceReport.part("refused", "\(errno.rawValue)", Array(reason.utf8.prefix(2000)))
            if outcome.log.isEmpty {
                if let obstacle = Obstacle(outcome.messages) {
                    var isKernels = false
                    if case .missingInKernel = obstacle { isKernels = true }
                    // What is in a module that is not there is missing as well.
                    if case .missingInModule = obstacle { isKernels = true }
                    SurfaceReport.part(
                        isKernels ? "missing" : "library", "-", Array(obstacle.description.utf8.prefix(2000)))
                }
                SurfaceReport.part("messages", "-", Array(outcome.messages.utf8.suffix(4000)))
            } else {
                SurfaceReport.part("log", "-", Array(outcome.log.utf8.suffix(16 << 10)))
            }
        case .failure(let error):
            SurfaceReport.part("refused", "\(error.errno.rawValue)", Array("libbpf cannot \(error.step) it".utf8))
            SurfaceReport.part("library", "-", Array("libbpf cannot \(error.step) it".utf8))
            SurfaceReport.part("messages", "-", Array(error.messages.utf8.suffix(4000)))
        }
    }

    /// Alone; or, where that does not come to the verifier, with those that the object loads by itself: it may be the
    /// target of a tail call, or one of a struct of operations.
    private static func load(_ bytes: [UInt8], _ name: String) -> Result<ProgramLoad.Outcome, LoadError> {
        do throws(LoadError) {
            let alone = try ProgramLoad(bytes, program: name, with: [], btfPath: nil).load()
            guard alone.errno != nil, alone.log.isEmpty else { return .success(alone) }
            let together = try ProgramLoad(bytes, program: name, with: nil, btfPath: nil).load()
            return .success(together.errno == nil ? together : alone)
        } catch {
            return .failure(error)
        }
    }
}
