package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/grabcut"
	"pixano/inference/onnx"
	"pixano/inference/openai"
	"pixano/inference/pixanoserver"
	"pixano/inference/toyclip"
	"pixano/server"
	"pixano/server/ui"
)

const (
	defaultPort     = 7492
	shutdownTimeout = 10 * time.Second // for requests that are being answered when the server ends
)

func serverCommand() *cobra.Command {
	return group("server", "Serve a library over HTTP", serverRunCommand())
}

type serverOptions struct {
	host                           string
	port                           int
	libraryDir, mediaDir, modelDir string
	referenceUI                    string
	inferenceURL, openaiURL        string
	exchangeDir, imageCache        string
	prefix                         string
	mediaRoots, cors, hosts        []string
	insecure, open, readOnly, logs bool
}

func serverRunCommand() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "run DATA_DIR",
		Short: "Serve the web interface and the REST API of a library",
		Long: "Serve the datasets of a library to browsers and programs.\n\n" +
			"DATA_DIR holds library, media and models, or is itself a library: a directory of datasets. The media are then in\n" +
			"the directory media beside it or, if there is none, in that of each dataset.\n" +
			"LIBRARY_DIR, MEDIA_DIR and MODELS_DIR in the environment, or the same with PIXANO_ in front, name other directories.\n\n" +
			"Whoever reaches the address may read and change the datasets: there are no accounts. Other addresses than those of\n" +
			"this machine therefore want --insecure.",
		Example: "  pixano server run data\n" +
			"  pixano server run data --port 0 --open",
		Args: arguments("DATA_DIR"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.host, "host", "127.0.0.1", "the address to listen at")
	flags.IntVar(&o.port, "port", defaultPort, "the port; 0 for any that is free")
	flags.StringVar(&o.mediaDir, "media-dir", "", "the directory that the urls of media start from")
	flags.StringVar(&o.modelDir, "models-dir", "", "the directory of models that run in the browser")
	flags.StringArrayVar(&o.mediaRoots, "media-root", nil, "NAME=DIR: media urls NAME/… are files of DIR; may be repeated")
	flags.StringVar(&o.exchangeDir, "exchange-dir", "", "the directory of sources of imports and of exports (default: exchange in DATA_DIR)")
	flags.StringVar(&o.imageCache, "image-cache", "", "the directory where reduced images are kept, off for none (default: in the user's cache directory)")
	flags.StringVar(&o.inferenceURL, "pixano-inference-url", "", "connect to this server of Pixano-Inference at the start")
	flags.StringVar(&o.openaiURL, "openai-url", "", "connect to this server with OpenAI's HTTP interface at the start; its key is in OPENAI_API_KEY")
	flags.StringVar(&o.referenceUI, "ui", "", "serve the web interface of Pixano 0.6 in this directory at /")
	flags.StringArrayVar(&o.cors, "cors", nil, "an origin whose pages may use the API, * for any; may be repeated")
	flags.StringArrayVar(&o.hosts, "allow-host", nil, "a name under which the server is reached, * for any; may be repeated")
	flags.StringVar(&o.prefix, "prefix", "", "the path under which a proxy serves this server, which it takes away: /pixano")
	flags.BoolVar(&o.insecure, "insecure", false, "listen at addresses that others reach")
	flags.BoolVar(&o.readOnly, "read-only", false, "refuse changes")
	flags.BoolVar(&o.open, "open", false, "open the browser")
	flags.BoolVar(&o.logs, "access-log", false, "log each request")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) }
	return cmd
}

// run serves a directory until the command's context ends.
func (o *serverOptions) run(cmd *cobra.Command, dir string) error {
	if o.port < 0 || o.port > math.MaxUint16 {
		return usagef("--port %d: want a number from 0 to %d", o.port, math.MaxUint16)
	}
	if o.prefix != "" && !strings.HasPrefix(o.prefix, "/") {
		return usagef("--prefix %q: want a path, such as /pixano", o.prefix)
	}
	if err := notDataset(dir); err != nil {
		return err
	}
	opts, err := o.options(cmd, dir)
	if err != nil {
		return err
	}
	library, err := dataset.OpenLibrary(o.libraryDir)
	if err != nil {
		return err
	}
	if err := o.checkAddress(); err != nil {
		return err
	}
	models, err := o.models(cmd.Context(), opts)
	if err != nil {
		return err
	}
	defer models.Close()
	handler, err := server.New(library, opts)
	if err != nil {
		return err
	}
	defer handler.Close()
	return o.serve(cmd, handler)
}

// models sets the models of a server: those of this process, and those of the servers that it connects to.
func (o *serverOptions) models(ctx context.Context, opts *server.Options) (*inference.Registry, error) {
	registry := &inference.Registry{}
	registry.Register(pixanoserver.Kind, pixanoserver.Connector(nil))
	registry.Register(openai.Kind, openai.Connector(&openai.Options{APIKey: os.Getenv("OPENAI_API_KEY")}))
	local := onnx.New(&onnx.Options{Dirs: []string{opts.ModelsDir}})
	err := errors.Join(registry.Add(grabcut.New()), registry.Add(local), registry.Add(inference.ProviderOf(toyclip.Embedder{})))
	if err == nil && o.inferenceURL != "" {
		_, _, err = registry.Connect(ctx, pixanoserver.Kind, o.inferenceURL)
	}
	if err == nil && o.openaiURL != "" {
		_, _, err = registry.Connect(ctx, openai.Kind, o.openaiURL)
	}
	if err != nil {
		return nil, errors.Join(err, registry.Close())
	}
	opts.Inference, opts.Models = registry, registry.Embedder
	return registry, nil
}

// setting is a variable of the environment, which may have PIXANO_ in front.
func setting(name string) string { return cmp.Or(os.Getenv("PIXANO_"+name), os.Getenv(name)) }

// options finds the directories.
func (o *serverOptions) options(cmd *cobra.Command, dir string) (*server.Options, error) {
	isDir := func(parts ...string) bool {
		st, err := os.Stat(filepath.Join(parts...))
		return err == nil && st.IsDir()
	}
	library, media, models := libraryIn(dir), filepath.Join(dir, "media"), filepath.Join(dir, "models")
	if library == dir {
		media, models = filepath.Join(filepath.Dir(filepath.Clean(dir)), "media"), filepath.Join(dir, "models")
		if !isDir(media) {
			media = "" // each dataset has its own
		}
	}
	o.libraryDir = cmp.Or(setting("LIBRARY_DIR"), library)
	media = cmp.Or(o.mediaDir, setting("MEDIA_DIR"), media)
	if media != "" && !isDir(media) {
		return nil, fmt.Errorf("media directory %s: no such directory: make it, or name another one with --media-dir", media)
	}
	opts := &server.Options{
		MediaDir: media, ModelsDir: cmp.Or(o.modelDir, setting("MODELS_DIR"), models), MediaRoots: map[string]string{},
		UI: ui.Files(), ReferenceUI: o.referenceUI, Prefix: o.prefix, CORS: o.cors, Hosts: append(o.hosts, o.host), ReadOnly: o.readOnly,
	}
	if opts.ExchangeDir = o.exchangeDir; o.exchangeDir == "" && library != dir {
		opts.ExchangeDir = filepath.Join(dir, "exchange")
	}
	if opts.ImageDir = o.imageCache; o.imageCache == "off" {
		opts.ImageDir = ""
	} else if cache, err := os.UserCacheDir(); o.imageCache == "" && err == nil {
		opts.ImageDir = filepath.Join(cache, "pixano", "images")
	}
	for _, root := range o.mediaRoots {
		name, dir, ok := strings.Cut(root, "=")
		if !ok || name == "" || !isDir(dir) {
			return nil, usagef("--media-root %q: want NAME=DIR with a directory that exists", root)
		}
		opts.MediaRoots[name] = dir
	}
	level := slog.LevelInfo
	if o.logs {
		level = slog.LevelDebug
	}
	opts.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	return opts, nil
}

// checkAddress refuses addresses that others reach, unless they are meant.
func (o *serverOptions) checkAddress() error {
	if o.insecure || o.host == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(o.host); err == nil && addr.IsLoopback() {
		return nil
	}
	return usagef("--host %s: everybody who reaches it could change the datasets; want an address of this machine, or --insecure", o.host)
}

// serve answers requests until the command's context ends.
func (o *serverOptions) serve(cmd *cobra.Command, handler *server.Server) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("port %d of %s is in use: want another --port, or 0 for any that is free", o.port, o.host)
		}
		return err
	}
	address := "http://" + listener.Addr().String()
	fmt.Fprintf(cmd.ErrOrStderr(), "Pixano is running at %s (press Ctrl+C to quit)\n", address)
	if o.open {
		if err := openBrowser(address); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "The browser could not be opened: %v\n", err)
		}
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 20}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-cmd.Context().Done():
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Shutting down")
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	handler.EndStreams()
	if err := srv.Shutdown(ctx); err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		_ = srv.Close() // who is still reading is cut off
	}
	return handler.Close()
}

// openBrowser shows an address in the user's browser.
func openBrowser(address string) error {
	command := []string{"xdg-open", address}
	switch runtime.GOOS {
	case "darwin":
		command[0] = "open"
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	}
	err := exec.Command(command[0], command[1:]...).Start()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s: %w", command[0], fs.ErrNotExist)
	}
	return err
}
