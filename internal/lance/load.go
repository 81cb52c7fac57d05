package lance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"pixano/internal/lance/lib"
)

// EngineVariable is the environment variable that names the library to load.
const EngineVariable = "PIXANO_ENGINE"

// buildCommand makes the library from its sources and puts it where Load looks.
const buildCommand = "go run pixano/internal/lance/build"

// LoadOptions are the options of [Load]. Nil and the zero value are the defaults.
type LoadOptions struct {
	// Path is the library to load. "": look for it, as the package comment says.
	Path string

	// CacheDir is where the embedded library is unpacked and built ones are kept. "": os.UserCacheDir()/pixano.
	CacheDir string

	Threads    int // of the engine's runtime; 0: one for each core
	CPUThreads int // for decoding and computing; 0: the engine's choice

	// IOCoreReservation is how many cores are kept free of computing for input and output. Nil: none on
	// machines of up to four cores, otherwise the engine's choice.
	IOCoreReservation *int
}

// EngineInfo describes the engine that was loaded.
type EngineInfo struct {
	ABI        uint32 // number of the C interface
	LanceDB    string // versions of its parts
	Lance      string
	DataFusion string
	Arrow      string
	Target     string // what it was built for
	Profile    string // "release" or "dev"
	Source     string // hash of the sources it was built from, "" where unknown
	Path       string // the file it was loaded from; "" for one in memory
}

// Attempt is one place where the library was looked for.
type Attempt struct {
	What string // what is there, as "embedded library"
	Path string // the file, where there is one
	Err  error
}

// LoadError says that no engine could be loaded, and why each place that was tried had none.
type LoadError struct {
	Tried []Attempt
	Hint  string // what to do about it
}

// Error lists the places and ends with the hint.
func (e *LoadError) Error() string {
	var b strings.Builder
	b.WriteString("no storage engine could be loaded:")
	for _, a := range e.Tried {
		b.WriteString("\n  " + a.What)
		if a.Path != "" {
			b.WriteString(" " + a.Path)
		}
		b.WriteString(": " + a.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

// Unwrap gives the reason of each place.
func (e *LoadError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

var (
	loadMu sync.Mutex // held while loading; of info
	info   EngineInfo
)

// Load loads the engine, once in a process: a later call does nothing, and is an error when it names another
// path than the one loaded. [Connect] calls it, so it is of use to choose options, or to have the time for
// unpacking pass at a certain moment. The error is a [LoadError]; after one, Load may be called again.
func Load(opts *LoadOptions) error {
	if opts == nil {
		if engine.Load() != nil {
			return nil
		}
		opts = &LoadOptions{}
	}
	loadMu.Lock()
	defer loadMu.Unlock()
	if engine.Load() != nil {
		if opts.Path != "" && opts.Path != info.Path {
			return &LoadError{Tried: []Attempt{{"library", opts.Path, fmt.Errorf("the engine %s is loaded already", info.Path)}}}
		}
		return nil
	}
	s := search{options: *opts, variable: os.Getenv(EngineVariable), files: lib.Files, lacking: lackingFeatures}
	s.manifest, s.manifestErr = lib.ReadManifest()
	loaded, path, err := s.run()
	if err != nil {
		return err
	}
	answer, err := initialize(loaded, opts)
	if err != nil {
		return &LoadError{Tried: []Attempt{{"library", path, err}}}
	}
	info = answer
	info.Path = path
	engine.Store(loaded)
	return nil
}

// Engine loads the engine where that has not been done, and describes it.
func Engine() (EngineInfo, error) {
	if err := Load(nil); err != nil {
		return EngineInfo{}, err
	}
	loadMu.Lock()
	defer loadMu.Unlock()
	return info, nil
}

// search looks for the library. All that it depends on is here, for its tests.
type search struct {
	options     LoadOptions
	variable    string // value of EngineVariable
	files       fs.FS  // lib.Files
	manifest    lib.Manifest
	manifestErr error
	lacking     func() []string // what the processor lacks for the embedded library

	tried []Attempt
}

// run returns the first library that loads, and the file it came from.
func (s *search) run() (*library, string, error) {
	// A library that was named is final: to go on with another one would hide the mistake.
	if path := s.options.Path; path != "" {
		loaded := s.try("library named in the options", path)
		return loaded, path, s.failed(loaded, "")
	}
	if path := s.variable; path != "" {
		loaded := s.try("library named by "+EngineVariable, path)
		return loaded, path, s.failed(loaded, "unset "+EngineVariable+" to use the embedded library")
	}
	if s.manifestErr != nil {
		s.note("embedded library", "", s.manifestErr)
	} else if loaded, path := s.embedded(); loaded != nil {
		return loaded, path, nil
	}
	loaded, path := s.built()
	return loaded, path, s.failed(loaded, "to build it for this machine (needs cargo and protoc): "+buildCommand)
}

func (s *search) note(what, path string, err error) {
	s.tried = append(s.tried, Attempt{what, path, err})
}

func (s *search) failed(loaded *library, hint string) error {
	if loaded != nil {
		return nil
	}
	return &LoadError{s.tried, hint}
}

func (s *search) try(what, path string) *library {
	// The loader would take a name without a slash for one to look for in the system's folders.
	absolute, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(absolute)
	}
	var loaded *library
	if err == nil {
		loaded, err = open(absolute)
	}
	if err != nil {
		s.note(what, path, err)
		return nil
	}
	return loaded
}

// embedded tries the embedded library in each place that it can be unpacked to. A place may be writable and
// still not do, when programs cannot be run from it.
func (s *search) embedded() (*library, string) {
	const what = "embedded library"
	a, err := embeddedArchive(s.files, s.manifest)
	if err != nil {
		s.note(what, "", err)
		return nil, ""
	}
	if lacking := s.lacking(); len(lacking) > 0 {
		s.note(what, "", fmt.Errorf("it is built for x86-64-v3 processors (2013 and later), this one has no %s", strings.Join(lacking, ", ")))
		return nil, ""
	}
	for _, place := range []func() (string, error){s.cacheDir, temporaryDir} {
		dir, err := place()
		if err == nil {
			var path string
			if path, err = a.unpack(dir); err == nil {
				if loaded := s.try(what+" unpacked to", path); loaded != nil {
					return loaded, path
				}
				continue
			}
		}
		s.note(what+", to be unpacked to", dir, err)
	}
	path, done, err := a.unpackToMemory()
	if err != nil {
		s.note(what+", to be unpacked to memory", "", err)
		return nil, ""
	}
	defer done()
	return s.try(what+" unpacked to memory", path), ""
}

// built tries the library that the build command has made from the same sources.
func (s *search) built() (*library, string) {
	const what = "library built from source"
	dir, err := s.cacheDir()
	if err != nil {
		s.note(what, "", err)
		return nil, ""
	}
	path := BuiltPath(dir, s.manifest.SourceSHA256)
	if err := verifyBuilt(path); err != nil {
		s.note(what, path, err)
		return nil, ""
	}
	return s.try(what, path), path
}

func (s *search) cacheDir() (string, error) {
	if s.options.CacheDir != "" {
		return s.options.CacheDir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "pixano"), nil
}

// open loads a file and looks up the functions of the interface.
func open(path string) (*library, error) {
	address, err := openLibrary(path)
	if err != nil {
		return nil, explain(err)
	}
	loaded := &library{}
	// The number first: another interface has other functions.
	if loaded.abi, err = symbol(address, "pixano_abi_version"); err != nil {
		return nil, fmt.Errorf("it is no storage engine: %w", err)
	}
	got, _, _ := purego.SyscallN(loaded.abi)
	if uint32(got) != abiVersion {
		return nil, fmt.Errorf("it has interface %d, this program wants %d", uint32(got), abiVersion)
	}
	wanted := map[string]*uintptr{
		"pixano_free": &loaded.free, "pixano_init": &loaded.start, "pixano_call": &loaded.call,
	}
	for i, name := range functionNames {
		wanted["pixano_"+name] = &loaded.functions[i]
	}
	for name, function := range wanted {
		if *function, err = symbol(address, name); err != nil {
			return nil, fmt.Errorf("it lacks a function of interface %d: %w", abiVersion, err)
		}
	}
	boundHeaps(address)
	settleRings(address)
	return loaded, nil
}

// explain adds to the dynamic loader's words what they mean where the C library is another one.
func explain(err error) error {
	if runtime.GOOS == "linux" {
		for _, sign := range []string{"GLIBC_", "ld-linux", "libc.so.6", "Error relocating", "Error loading shared library"} {
			if strings.Contains(err.Error(), sign) {
				return fmt.Errorf("%w (the library needs a glibc at least as new as the one it was built with; musl will not do)", err)
			}
		}
	}
	return err
}

// initialize makes the library's settings and asks for its versions.
func initialize(loaded *library, opts *LoadOptions) (EngineInfo, error) {
	request := initRequest{LogLevel: logLevel(), Threads: opts.Threads, CPUThreads: opts.CPUThreads, IOCoreReservation: -1}
	if opts.IOCoreReservation != nil {
		request.IOCoreReservation = *opts.IOCoreReservation
	}
	answer, err := loaded.initialize(request)
	if err != nil {
		return EngineInfo{}, err
	}
	var i struct {
		ABI        uint32 `json:"abi"`
		LanceDB    string `json:"lancedb"`
		Lance      string `json:"lance"`
		DataFusion string `json:"datafusion"`
		Arrow      string `json:"arrow"`
		Target     string `json:"target"`
		Profile    string `json:"profile"`
		Source     string `json:"source"`
	}
	if err := json.Unmarshal(answer.data, &i); err != nil {
		return EngineInfo{}, fmt.Errorf("decode its description: %w", err)
	}
	return EngineInfo{i.ABI, i.LanceDB, i.Lance, i.DataFusion, i.Arrow, i.Target, i.Profile, i.Source, ""}, nil
}

type initRequest struct {
	LogLevel          string `json:"log_level"`
	Threads           int    `json:"threads"`
	CPUThreads        int    `json:"cpu_threads"`
	IOCoreReservation int    `json:"io_core_reservation"`
}

// initialize calls pixano_init, whose first call counts for all but the log level.
func (lib *library) initialize(request initRequest) (reply, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return reply{}, err
	}
	out := new(nativeReply)
	purego.SyscallN(lib.start, uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)), logCallback(), uintptr(unsafe.Pointer(out)))
	return lib.take(out, args{op: "start the engine"})
}

var errNotEmbedded = errors.New("this program was built without it")
