// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// `AGENT surface`: what the kernel offers to programs, for the host to make sense of.
///
/// Parts, each a line `KIND NAME BYTES` with so many bytes and a line's end behind it; docs/surface-format.md, "What
/// the guest sends".
enum SurfaceReport {
    static func write() {
        part("surface", "1", [])
        types()
        kfuncs()
        probe("program-types", SurfaceProbes.programTypes())
        probe("map-types", SurfaceProbes.mapTypes())
        probe("attach-types", SurfaceProbes.attachTypes())
        probe("instructions", SurfaceProbes.instructions())
        part("end", "-", [])
    }

    static func part(_ kind: String, _ name: String, _ bytes: [UInt8]) {
        AgentMain.emit("\(kind) \(name) \(bytes.count)\n")
        AgentMain.emit(bytes)
        AgentMain.emit("\n")
    }

    /// What could not be found out, and why.
    private static func note(_ name: String, _ text: String) {
        part("note", name, Array(text.utf8.prefix(4000)))
    }

    private static func types() {
        do throws(Errno) {
            for name in try KernelBTF.names() {
                let limit = 64 << 20
                part("btf", name, try readFile("\(KernelBTF.folder)/\(name)", limit: limit))
            }
        } catch {
            note("btf", "\(KernelBTF.folder): \(error.name) (\(error.rawValue))")
        }
    }

    private static func kfuncs() {
        do {
            for one in try KfuncSets().all() { part("kfuncs", "\(one.owner)/\(one.hook)", one.pairs) }
        } catch let error as LoadError {
            let why = error.log.isEmpty ? error.messages : error.log
            note("kfuncs", "the program that reads them does not load: \(error.errno.name)\n\(why.suffix(1000))")
        } catch let error as Errno {
            let why = error == .notSupported ? "this kernel does not keep them with their flags (6.0 does)" : error.name
            note("kfuncs", why)
        } catch {
            note("kfuncs", "\(error)")
        }
    }

    private static func probe(_ name: String, _ answers: [SurfaceProbes.Answer]) {
        let lines = answers.map { "\($0.number) \($0.errno.map { "\($0.rawValue)" } ?? "0")\n" }
        part("probe", name, Array(lines.joined().utf8))
    }
}
