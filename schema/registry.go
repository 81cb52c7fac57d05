package schema

import (
	"reflect"
	"sync"
)

// registry maps class names to Go types and back. Built-in classes are in it from the start.
var registry = struct {
	sync.RWMutex
	types map[string]reflect.Type
	names map[reflect.Type]string
}{types: map[string]reflect.Type{}, names: map[reflect.Type]string{}}

// Register makes T the Go type of the class named as T: tables of that class in schema.json are read into T where no
// other type is asked for. The same pair twice is no error; a name or a type that is taken is. Error: [Error].
//
// It is not needed to read or write tables as T, only for code that does not name T.
func Register[T Row]() error {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if b, ok := builtinsByType[t]; ok {
		name = b.name
	}
	return register(name, t)
}

// RegisterName is [Register] for the type of row, under a class name of its own, as in encoding/gob. Types declared in
// a notebook cell are unnamed and get their class name this way; the type of a cell that runs again takes the place of
// its earlier self.
func RegisterName(name string, row any) error {
	if row == nil {
		return &Error{Type: name, Rule: "want a struct that embeds one of the six groups, have nil"}
	}
	t := reflect.TypeOf(row)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return register(name, t)
}

func register(name string, t reflect.Type) error {
	if _, err := PlanOf(t); err != nil {
		return err
	}
	if err := checkClassName(name); err != nil {
		return inType(typeName(t), err)
	}
	if b, ok := builtinsByName[name]; ok {
		if b.typ == t {
			return nil
		}
		return &Error{Type: typeName(t), Field: "schema", Value: name, Rule: "want a name that no built-in class has"}
	}
	if b, ok := builtinsByType[t]; ok {
		return &Error{Type: typeName(t), Field: "schema", Value: name, Rule: "want its own name, " + b.name}
	}
	registry.Lock()
	defer registry.Unlock()
	old, taken := registry.types[name]
	if old == t {
		return nil
	}
	if taken && !(old.Name() == "" && t.Name() == "") {
		return &Error{Type: typeName(t), Field: "schema", Value: name, Rule: "want a name that " + typeName(old) + " has not taken"}
	}
	if other, ok := registry.names[t]; ok {
		return &Error{Type: typeName(t), Field: "schema", Value: name, Rule: "want its registered name, " + other}
	}
	if taken {
		delete(registry.names, old)
	}
	registry.types[name], registry.names[t] = t, name
	return nil
}

// Lookup returns the Go type of a class: a built-in one, or one that was registered.
func Lookup(class string) (reflect.Type, bool) {
	if b, ok := builtinsByName[class]; ok {
		return b.typ, true
	}
	registry.RLock()
	defer registry.RUnlock()
	t, ok := registry.types[class]
	return t, ok
}

func registeredName(t reflect.Type) (string, bool) {
	registry.RLock()
	defer registry.RUnlock()
	name, ok := registry.names[t]
	return name, ok
}
