# The C client library and the command line; included by the Makefile, whose flags it builds on.

CLIENT_SRC  := $(wildcard clients/c/*.c)
CLIENT_LIBS := -lcurl -ljansson
CLIENT_ABI  := 0
LIBDIR      ?= $(PREFIX)/lib
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
CLIENT_SO   := $(BUILD)/libfacenet-client.so
VERSION     := $(shell sed -n 's/^\#define FN_VERSION "\(.*\)"/\1/p' engine/version.h)

# The same objects serve both libraries; only what the version script names is visible in the shared
# one.
$(call objs,$(CLIENT_SRC)): FN_CFLAGS += -fPIC

$(BUILD)/libfacenet-client.a: $(call objs,$(CLIENT_SRC))

$(CLIENT_SO).$(CLIENT_ABI): $(call objs,$(CLIENT_SRC)) clients/c/facenet-client.map
	$(Q)$(CC) $(CFLAGS) -shared -pthread -Wl,-z,relro,-z,now \
	    $(if $(SAN),-fsanitize=$(SAN),-Wl,-z,defs) \
	    -Wl,-soname,$(@F) -Wl,--version-script=clients/c/facenet-client.map $(filter %.o,$^) -o $@ \
	    $(CLIENT_LIBS)
$(CLIENT_SO): $(CLIENT_SO).$(CLIENT_ABI)
	$(Q)ln -sf $(<F) $@

# One example is a test as well: it is the one that is run under the thread sanitizer.
$(BUILD)/clients/c/examples/threads.o: FN_CFLAGS += -Iclients/c
$(BUILD)/client-threads: $(BUILD)/clients/c/examples/threads.o $(BUILD)/libfacenet-client.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(CLIENT_LIBS)

CLI_SRC := $(wildcard clients/cli/*.c)
$(call objs,$(CLI_SRC)): FN_CFLAGS += -Iclients/c
$(BUILD)/facenet: $(call objs,$(CLI_SRC)) $(BUILD)/libfacenet-client.a
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ $(CLIENT_LIBS)

.PHONY: client
client: $(BUILD)/libfacenet-client.a $(CLIENT_SO) $(BUILD)/facenet \
    $(BUILD)/client-threads ## build the C client and the command line
all: client

# A unit test or fuzz target of the client is linked with the client alone.
$(BUILD)/tests/test_client_%: $(BUILD)/tests/unit/test_client_%.o $(BUILD)/libfacenet-client.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $^ -o $@ -lcmocka $(CLIENT_LIBS) -lm
$(BUILD)/fuzz/fuzz_client_%: $(BUILD)/tests/fuzz/fuzz_client_%.o $(FUZZ_MAIN) $(BUILD)/libfacenet-client.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(FN_LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) $^ -o $@ $(CLIENT_LIBS)

# The interface of the shared library as libabigail sees it; tests compare it with the one committed.
# A change that breaks programs built before needs another CLIENT_ABI; any other, `make abi`.
ABI_BASELINE := clients/c/abi/facenet-client-$(CLIENT_ABI).abi
$(BUILD)/facenet-client.abi: $(CLIENT_SO).$(CLIENT_ABI) clients/c/facenet_client.h
	$(Q)mkdir -p $(BUILD)/abi-headers && cp clients/c/facenet_client.h $(BUILD)/abi-headers
	$(Q)abidw --headers-dir $(BUILD)/abi-headers --drop-private-types --exported-interfaces-only \
	    --no-comp-dir-path --no-corpus-path --no-show-locs --no-elf-needed --out-file $@ $<
.PHONY: abi abi-check
abi: $(BUILD)/facenet-client.abi ## accept the C client's interface as it is now
	@mkdir -p $(dir $(ABI_BASELINE))
	$(Q)cp $< $(ABI_BASELINE)
abi-check: $(BUILD)/facenet-client.abi ## compare the C client's interface with the accepted one
	$(Q)abidiff $(ABI_BASELINE) $<

.PHONY: install-client
install-client: client
	install -D -m 644 clients/c/facenet_client.h $(DESTDIR)$(PREFIX)/include/facenet_client.h
	install -D -m 644 $(BUILD)/libfacenet-client.a $(DESTDIR)$(LIBDIR)/libfacenet-client.a
	install -D -m 755 $(CLIENT_SO).$(CLIENT_ABI) $(DESTDIR)$(LIBDIR)/$(notdir $(CLIENT_SO)).$(CLIENT_ABI)
	ln -sf $(notdir $(CLIENT_SO)).$(CLIENT_ABI) $(DESTDIR)$(LIBDIR)/$(notdir $(CLIENT_SO))
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(VERSION),' clients/c/facenet-client.pc.in \
	    > $(DESTDIR)$(LIBDIR)/pkgconfig/facenet-client.pc
	install -D -m 755 $(BUILD)/facenet $(DESTDIR)$(PREFIX)/bin/facenet
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 man/man3)
	install -m 644 clients/c/man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 clients/cli/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 644 clients/cli/completion/facenet.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/facenet
	install -D -m 644 clients/cli/completion/_facenet \
	    $(DESTDIR)$(ZSHDIR)/_facenet
	install -D -m 644 clients/cli/completion/facenet.fish \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/facenet.fish
install: install-client
