# Run where the library is installed: ARCHIVE, the static library of everything, becomes OUT, in which only what include/timbre
# declares can be linked. One object that holds all of it, groups dissolved so that nobody's copy of an inline function is
# taken for ours, and each other symbol of it made local.
get_filename_component(folder ${OUT} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
file(REMOVE ${OUT})
set(object ${folder}/timbre.o)
set(unique ${folder}/timbre.unique)
execute_process(COMMAND ${LINKER} -r --force-group-allocation -o ${object} --whole-archive ${ARCHIVE} COMMAND_ERROR_IS_FATAL ANY)
# objcopy lets unique symbols be, unless they were made weak. Not those that are missing here: a linker would leave them so.
execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " u [^\n]+" symbols "${symbols}")
string(REPLACE " u " "" symbols "${symbols}")
string(REPLACE ";" "\n" symbols "${symbols}")
file(WRITE ${unique} "${symbols}\n")
execute_process(COMMAND ${OBJCOPY} --weaken-symbols=${unique} ${object} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${OBJCOPY} --wildcard --keep-global-symbol=timbre_* ${object} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${AR} rcs ${OUT} ${object} COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE ${object} ${unique})
