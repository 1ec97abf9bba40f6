// SPDX-License-Identifier: Apache-2.0
internal import BTF

/// The types of a kernel and of the modules that were loaded.
struct KernelTypes: Sendable {
    let vmlinux: BTFTypes
    let modules: [(name: String, types: BTFTypes)]
    /// What could not be read, a sentence each.
    let notes: [String]

    init(_ capture: SurfaceCapture) throws(SurfaceError) {
        guard let first = capture.types.first, first.name == "vmlinux" else {
            throw SurfaceError("the kernel has no BTF" + (capture.notes["btf"].map { ": \($0)" } ?? ""))
        }
        do throws(BTFError) {
            vmlinux = try BTFTypes(first.bytes, base: nil)
        } catch {
            throw SurfaceError("the kernel's BTF: \(error)")
        }
        var modules: [(name: String, types: BTFTypes)] = []
        var notes: [String] = []
        for one in capture.types.dropFirst() {
            do throws(BTFError) {
                modules.append((one.name, try BTFTypes(one.bytes, base: vmlinux)))
            } catch {
                notes.append("the types of module \(one.name) cannot be read: \(error)")
            }
        }
        self.modules = modules
        self.notes = notes
    }

    var all: [(name: String, types: BTFTypes)] { [("vmlinux", vmlinux)] + modules }
}
