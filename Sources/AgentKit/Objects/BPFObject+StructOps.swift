// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import LinuxIO
internal import SystemPackage

extension BPFObject {
    /// Makes the kernel use a table of functions (`SEC(".struct_ops")`) until the result goes away.
    public func attachStructOps(_ map: String) throws(LoadError) -> AttachedProgram {
        guard let table = unsafe bpf_object__find_map_by_name(object, map) else { throw missing("map \(map)") }
        LibbpfMessages.capture()
        guard let link = unsafe bpf_map__attach_struct_ops(table) else {
            throw LoadError(
                path: path, step: "attach \(map) of", errno: Errno.last, log: "", messages: LibbpfMessages.take())
        }
        return unsafe AttachedProgram(link)
    }
}
