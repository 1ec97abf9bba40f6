// SPDX-License-Identifier: Apache-2.0
/// A kernel's modules and what they depend on.
public struct ModuleTree: Sendable, Equatable {
    /// Name -> path relative to the tree, such as `kernel/net/core/foo.ko.xz`.
    private var paths: [String: String] = [:]
    private var dependencies: [String: [String]] = [:]
    private var builtIn: Set<String> = []

    /// Reads the text of modules.dep and modules.builtin.
    public init(dependencies text: String, builtIn list: String = "") {
        for line in text.split(whereSeparator: \.isNewline) {
            // What `depmod -n` prints goes on with aliases and symbols: lines of another form.
            guard let colon = line.firstIndex(of: ":"), line[..<colon].contains(".ko"), !line.hasPrefix("alias ")
            else { continue }
            let path = String(line[..<colon])
            let name = Self.name(path)
            paths[name] = path
            dependencies[name] = line[line.index(after: colon)...].split(separator: " ").map { Self.name(String($0)) }
        }
        builtIn = Set(list.split(whereSeparator: \.isNewline).map { Self.name(String($0)) })
    }

    /// `virtio_pci` for `kernel/drivers/virtio/virtio-pci.ko.xz`.
    static func name(_ path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        let stem = file.firstRange(of: ".ko").map { String(file[..<$0.lowerBound]) } ?? file
        return String(stem.map { $0 == "-" ? "_" : $0 })
    }

    public func isBuiltIn(_ name: String) -> Bool { builtIn.contains(name) }

    /// What must be loaded for the wanted modules, dependencies first, each once.
    ///
    /// - Returns: name and relative path; wanted modules that do not exist, built in or not, are left out.
    public func loadOrder(_ wanted: [String]) -> [(name: String, path: String)] {
        var order: [(name: String, path: String)] = []
        var seen: Set<String> = []
        func visit(_ name: String) {
            guard let path = paths[name], seen.insert(name).inserted else { return }
            for dependency in dependencies[name] ?? [] { visit(dependency) }
            order.append((name, path))
        }
        for name in wanted { visit(name) }
        return order
    }
}
