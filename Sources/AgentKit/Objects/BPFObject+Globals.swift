// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension BPFObject {
    /// The value of a global variable.
    public func value<Value: FixedWidthInteger & BitwiseCopyable>(
        of variable: String, as type: Value.Type = Value.self
    ) throws(LoadError) -> Value {
        let memory = unsafe try self.memory(of: variable)
        guard memory.count == MemoryLayout<Value>.size else { throw wrongSize(variable, memory.count) }
        return unsafe memory.loadUnaligned(as: type)
    }

    /// Sets a global variable.
    public func set<Value: FixedWidthInteger & BitwiseCopyable>(
        _ variable: String, to value: Value
    ) throws(LoadError) {
        let memory = unsafe try self.memory(of: variable)
        guard memory.count == MemoryLayout<Value>.size else { throw wrongSize(variable, memory.count) }
        unsafe memory.storeBytes(of: value, as: Value.self)
    }

    /// The bytes of a global array.
    public func bytes(of variable: String) throws(LoadError) -> [UInt8] {
        unsafe Array(try memory(of: variable))
    }

    /// Sets the first bytes of a global array.
    public func setBytes(of variable: String, to bytes: [UInt8]) throws(LoadError) {
        let memory = unsafe try self.memory(of: variable)
        guard bytes.count <= memory.count else { throw wrongSize(variable, memory.count) }
        unsafe memory.copyBytes(from: bytes)
    }

    /// Where a global variable is, by the object's own BTF; valid for as long as the object.
    private func memory(of variable: String) throws(LoadError) -> UnsafeMutableRawBufferPointer {
        let btf = unsafe bpf_object__btf(object)
        for id in 1..<(unsafe btf__type_cnt(btf)) {
            guard let section = unsafe btf__type_by_id(btf, id), unsafe section.pointee.info >> 24 & 0x1f == 15 else {
                continue
            }
            let members = unsafe UnsafeRawPointer(section + 1).assumingMemoryBound(to: btf_var_secinfo.self)
            for index in 0..<Int(unsafe section.pointee.info & 0xffff) {
                let place = unsafe members[index]
                guard let type = unsafe btf__type_by_id(btf, place.type),
                    let name = unsafe btf__name_by_offset(btf, type.pointee.name_off),
                    unsafe String(cString: name) == variable,
                    let sectionName = unsafe btf__name_by_offset(btf, section.pointee.name_off)
                else { continue }
                let whole = unsafe try globals(String(cString: sectionName))
                let end = Int(place.offset) + Int(place.size)
                guard end <= whole.count else { throw wrongSize(variable, whole.count) }
                return unsafe UnsafeMutableRawBufferPointer(rebasing: whole[Int(place.offset)..<end])
            }
        }
        throw missing("variable \(variable)")
    }

    private func wrongSize(_ variable: String, _ size: Int) -> LoadError {
        LoadError(
            path: path, step: "reach variable \(variable), \(size) bytes, of", errno: .invalidArgument, log: "",
            messages: "")
    }
}
