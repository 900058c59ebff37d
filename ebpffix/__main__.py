from ebpffix.cli import main

main()
